// The program: subcommands, one place where errors become messages and exit codes, the end of MPI.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/version.h"
#include "checkpoint/described_model.h"
#include "checkpoint/family.h"
#include "comm/agreement.h"
#include "comm/device.h"
#include "comm/launch.h"
#include "comm/session.h"
#include "job/job.h"
#include "job/keys.h"
#include "output/merge.h"
#include "output/pack.h"
#include "output/schema.h"
#include "output/show.h"
#include "run/ending.h"
#include "run/plan_command.h"
#include "run/stop.h"
#include "run/sweep.h"

namespace actsweep {
namespace {

constexpr int kExitUsage = 2;
constexpr int kMostRows = 1'000'000;
constexpr int64_t kMostPlannedTokens = 1'000'000'000'000;

struct Arguments {
  std::string job;
  std::vector<std::string> overrides;
  PlanRequest plan;
  std::string file;
  int top = 10;
  std::vector<std::string> parts;
  std::string output;
};

/// Raises a signal at a step of the sweep, where tests of kills and stops ask for it by the words
/// of the step, as in "segment 3: layer 2", "segment 3: renamed", "consolidation: created".
void raise_where_asked(std::string_view step) {
  const auto raise_at = [&](const char* variable, int signal) {
    const char* wanted = std::getenv(variable);
    if (wanted == nullptr || step != wanted) return;
    spdlog::warn("{} asks for signal {} at \"{}\"", variable, signal, step);
    ::unsetenv(variable);  // a step may come again
    std::raise(signal);
  };
  raise_at("ACTSWEEP_DIE_AT", SIGKILL);
  raise_at("ACTSWEEP_STOP_AT", SIGUSR1);
  raise_at("ACTSWEEP_HOLD_AT", SIGSTOP);  // until the test lets the rank go on
}

/// A process of several that MPI does not join is refused, and the first of them says so.
void check_launch(const MpiSession& session) {
  const auto mistake = launch_mistake(session.size(), variable_of_process);
  if (mistake.empty()) return;
  throw AgreedError(ErrorKind::kDevice, mistake, is_first_process(variable_of_process));
}

int run_command(const Arguments& arguments, const MpiSession& session) {
  check_launch(session);
  Job job;
  agree(MPI_COMM_WORLD, [&] { job = load_job(arguments.job, arguments.overrides); });
  return run_sweep(job, session, raise_where_asked);
}

/// `run` under MPI: an error that all ranks know ends them together, any other ends the world.
int run_under_mpi(const Arguments& arguments, int* argc, char*** argv) {
  catch_stop_signals();  // first of all: a signal may come while MPI starts
  if (const auto mistake = step_without_mpi(variable_of_process); !mistake.empty()) {
    start_log(0, 1);
    if (is_first_process(variable_of_process)) spdlog::error("{}", mistake);
    return static_cast<int>(ErrorKind::kDevice);
  }
  const MpiSession session(argc, argv);
  start_log(session.rank(), session.size());
  try {
    return run_command(arguments, session);
  } catch (const AgreedError& error) {
    if (error.is_mine()) spdlog::error("{}", error.what());
    return error.exit_code();
  } catch (...) {
    const auto ending = ending_of(std::current_exception());
    spdlog::error("{}", ending.message);
    session.abort(ending.code);
  }
}

std::string plan(const Arguments& arguments) {
  if (!arguments.file.empty()) {
    return config_plan_table(arguments.file, load_overrides(arguments.overrides), arguments.plan);
  }
  require(!arguments.job.empty(), ErrorKind::kJob,
          "plan: expected a job file, or --config with a config.json, found neither");
  return plan_table(load_job(arguments.job, arguments.overrides), arguments.plan);
}

/// The commands that run alone.
int run_alone(const CLI::App& app, const Arguments& arguments, int* argc, char*** argv) {
  start_log(0, 1);
  try {
    if (app.got_subcommand("plan")) {
      fmt::print("{}", plan(arguments));
    } else if (app.got_subcommand("show")) {
      fmt::print("{}", show_file(arguments.file, arguments.top));
    } else if (app.got_subcommand("merge")) {
      const MpiSession session(
          argc, argv);  // the merged file is assembled by the same calls as a sweep's
      merge_files(arguments.parts, arguments.output);
    } else if (app.got_subcommand("pack")) {
      const MpiSession session(argc, argv);
      pack_file(arguments.file, arguments.output);
    } else if (app.got_subcommand("keys")) {
      fmt::print("{}", describe_keys());
    } else if (app.got_subcommand("tensors")) {
      fmt::print("{}", describe_tensors(arguments.file));
    } else if (app.got_subcommand("models")) {
      fmt::print("{}", families_markdown());
    } else {
      fmt::print("{}",
                 schema_markdown(declare_datasets(schema_job(), {.corpus = CorpusKind::kImages,
                                                                 .has_experts = true,
                                                                 .registers = 1,
                                                                 .has_roles = true,
                                                                 .has_requests = true})));
    }
    return 0;
  } catch (...) {
    const auto ending = ending_of(std::current_exception());
    spdlog::error("{}", ending.message);
    return ending.code;
  }
}

CLI::Option* add_job_options(CLI::App& command, Arguments& arguments) {
  auto* job = command.add_option("JOB", arguments.job, "the job file (TOML)");
  command
      .add_option("--set", arguments.overrides, "section.key=value, in place of the file's value")
      ->type_size(1)
      ->allow_extra_args(false);
  return job;
}

void add_plan_options(CLI::App& plan, Arguments& arguments) {
  auto* job = add_job_options(plan, arguments);
  plan.add_option("--ranks", arguments.plan.ranks, "ranks of the run")
      ->check(CLI::Range(int64_t{1}, kMostRanks));
  plan.add_option("--machine", arguments.plan.machine,
                  "a file that describes a machine, or the name of an installed one");
  plan.add_option("--memory", arguments.plan.memory_gib, "GiB of memory per rank")
      ->check(CLI::PositiveNumber);
  auto* config =
      plan.add_option("--config", arguments.file, "a config.json in place of a job and weights")
          ->excludes(job);
  plan.add_option("--tokens", arguments.plan.tokens, "tokens of a sweep of --config")
      ->check(CLI::Range(int64_t{1}, kMostPlannedTokens))
      ->needs(config)
      ->capture_default_str();
}

void describe(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("actsweep {} ({})", kVersion, kGitCommit));
  add_job_options(*app.add_subcommand("run", "run the sweep, alone or under mpirun or srun"),
                  arguments)
      ->required();
  add_plan_options(*app.add_subcommand("plan", "say what run would do: layout, memory, disk, time"),
                   arguments);
  auto* show = app.add_subcommand("show", "print the findings of a sweep file as tables");
  show->add_option("FILE", arguments.file, "a finished sweep file")->required();
  show->add_option("--top", arguments.top, "rows of the table of channels")
      ->check(CLI::Range(1, kMostRows));
  auto* merge =
      app.add_subcommand("merge", "make one file of finished files over different corpora");
  merge->add_option("FILES", arguments.parts, "finished sweep files")->required();
  merge->add_option("-o,--output", arguments.output, "the file to write")->required();
  auto* pack = app.add_subcommand(
      "pack", "make one file of a sweep file whose rows lie in its segments ([output] layout)");
  pack->add_option("FILE", arguments.file, "a finished sweep file with linked rows")->required();
  pack->add_option("-o,--output", arguments.output, "the file to write, in place of FILE itself");
  auto* tensors =
      app.add_subcommand("tensors", "list the tensors that a config.json asks for, as JSON lines");
  tensors
      ->add_option("CONFIG", arguments.file,
                   "a config.json, a directory with one, or hf:NAME[@REVISION]")
      ->required();
  app.add_subcommand("keys", "print the keys of a job file, as docs/job.md lists them");
  app.add_subcommand("models", "print the model families, as docs/models.md lists them");
  app.add_subcommand("schema",
                     "print the datasets of a sweep file, as docs/output-format.md lists them");
}

/// Ends the process when all files are closed and MPI is at its end, without what LibTorch would
/// destroy one by one: 60 ms.
[[noreturn]] void leave(int code) {
  spdlog::shutdown();
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace
}  // namespace actsweep

int main(int argc, char** argv) {
  using namespace actsweep;
  CLI::App app("Sweeps transformers over corpora and writes statistics of their activations.",
               "actsweep");
  Arguments arguments;
  describe(app, arguments);
  // A write beyond the limit on the size of files fails instead, as on a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  const bool is_sweep = app.got_subcommand("run");
  leave(is_sweep ? run_under_mpi(arguments, &argc, &argv)
                 : run_alone(app, arguments, &argc, &argv));
}
