#include "run/shared_fingerprint.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "checkpoint/model_fingerprint.h"
#include "comm/agreement.h"
#include "comm/messages.h"

namespace actsweep {
namespace {

using Clock = std::chrono::steady_clock;

void log_progress(int64_t done, int64_t all, Clock::time_point start) {
  constexpr double kGib = 1 << 30;
  const double gone_s = std::chrono::duration<double>(Clock::now() - start).count();
  const double rate = static_cast<double>(done) / std::max(1e-9, gone_s);
  const double left_s = static_cast<double>(all - done) / std::max(1.0, rate);
  spdlog::info("fingerprint of the weights: {:.1f} of {:.1f} GiB read, {:.2f} GiB/s, {:.0f} s left",
               static_cast<double>(done) / kGib, static_cast<double>(all) / kGib, rate / kGib,
               left_s);
}

/// Collective over the world.
std::string shared(const Checkpoint& checkpoint, const MpiSession& session) {
  std::string fingerprint;
  agree(MPI_COMM_WORLD, [&] {
    if (session.rank() != 0) return;
    const auto start = Clock::now();
    fingerprint = fingerprint_of(
        checkpoint, [&](int64_t done, int64_t all) { log_progress(done, all, start); });
  });
  broadcast(fingerprint, MPI_COMM_WORLD);
  return fingerprint;
}

}  // namespace

void share_fingerprint(SweepInputs& inputs, const MpiSession& session) {
  const auto fingerprint = shared(inputs.checkpoint, session);
  if (inputs.tower) inputs.tower_fingerprint = shared(*inputs.tower, session);
  if (inputs.checkpoint.classifier()) {
    agree(MPI_COMM_WORLD, [&] {
      if (session.rank() != 0) return;
      inputs.classifier_fingerprint = classifier_fingerprint_of(inputs.checkpoint);
    });
    broadcast(inputs.classifier_fingerprint, MPI_COMM_WORLD);
  }
  agree(MPI_COMM_WORLD, [&] { inputs.set_model_fingerprint(fingerprint); });
}

}  // namespace actsweep
