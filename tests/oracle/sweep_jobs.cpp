// Many sweeps in one MPI world: `mpirun -n M sweep_jobs JOB.toml …`.
//
// Starting a world takes longer than sweeping a tiny model. Prints a line for each job as it ends:
// "ok PATH", or "error PATH MESSAGE" from the rank that knows the message. Goes on after an error
// that all ranks know of; any other ends the world, and the jobs after it have no line.
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "comm/agreement.h"
#include "comm/session.h"
#include "job/job.h"
#include "run/sweep.h"

namespace actsweep {
namespace {

void report_error(const char* path, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  fmt::print("error {} {}\n", path, message);
  std::fflush(stdout);
}

/// Collective over the world.
void sweep(const char* path, const MpiSession& session) {
  Job job;
  agree(MPI_COMM_WORLD, [&] { job = load_job(path, {}); });
  const int code = run_sweep(job, session);
  if (session.rank() != 0) return;
  if (code == 0) {
    fmt::print("ok {}\n", path);
    std::fflush(stdout);
  } else {
    report_error(path, fmt::format("stopped with exit code {}", code));
  }
}

/// Collective over the world: sweeps, or tells why not.
void try_sweep(const char* path, const MpiSession& session) {
  try {
    sweep(path, session);
  } catch (const AgreedError& error) {
    if (error.is_mine()) report_error(path, error.what());
  } catch (const c10::Error& error) {
    report_error(path, error.what_without_backtrace());
    session.abort(static_cast<int>(ErrorKind::kDevice));
  } catch (const std::exception& error) {
    report_error(path, error.what());
    session.abort(1);
  }
}

}  // namespace
}  // namespace actsweep

int main(int argc, char** argv) {
  using namespace actsweep;
  const MpiSession session(&argc, &argv);
  start_log(session.rank(), session.size());
  for (int i = 1; i < argc; ++i) try_sweep(argv[i], session);
}
