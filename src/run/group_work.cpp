#include "run/group_work.h"

#include <ATen/DeviceAccelerator.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <optional>
#include <thread>

#include "comm/agreement.h"
#include "comm/device.h"
#include "comm/groups.h"
#include "run/ending.h"
#include "run/segment_runner.h"

namespace actsweep {
namespace {

int64_t tokens_of(const SweepInputs& inputs, const std::vector<int64_t>& units) {
  int64_t tokens = 0;
  for (const auto unit : units) {
    if (unit >= inputs.segments.segments()) continue;
    const auto range = inputs.segments.segment(unit);
    tokens += inputs.windows.tokens_before(range.end) - inputs.windows.tokens_before(range.begin);
  }
  return tokens;
}

/// What one model group is given to do.
struct Assignment {
  std::vector<int64_t> units;
  int64_t all_tokens = 0;  // that all groups are given
};

/// This rank's model group, its owner, and who asks it for trouble. Collective over the world.
struct ModelGroup {
  ModelGroup(int replica, const Place& place, Watchdog& watchdog)
      : members(split(MPI_COMM_WORLD, replica, place.number)),
        group(groups.add(members.get(), make_backend(members.get(), place.device))),
        asking(watchdog, [this] { return groups.trouble(); }) {}

  const Communicator members;
  Groups groups;
  const Group& group;
  const Watchdog::Asking asking;
};

void log_summary(const SweepInputs& inputs, const BlockPass& pass, const Progress& progress,
                 int64_t all_tokens) {
  if (all_tokens == 0) return;
  spdlog::info("measured {} tokens in {:.1f} s, {:.0f} tokens/s", all_tokens, progress.elapsed_s(),
               progress.tokens_per_s());
  spdlog::info(
      "rank 0: model {:.1f} s, statistics {:.1f} s, rows {:.1f} s, waiting for "
      "weights {:.2f} s ({})",
      pass.times().model_s, pass.times().statistics_s, pass.times().rows_s,
      pass.waited_for_weights_s(), name_of(inputs.job.parallel.weights));
}

/// A model group at its work. What it holds of the device outlives the exceptions of its methods.
class GroupPass {
 public:
  GroupPass(const GroupWork& work, const Group& group, const Assignment& assignment,
            SegmentWriter& writer)
      : work_(work), group_(group), assignment_(assignment), writer_(writer) {}

  /// Collective over the model group: all members have their weights, or none goes on.
  void load() {
    spdlog::info("reading the weights");
    work_.heartbeat.begin("reading the weights", work_.patience.loading_s);
    const auto on_step = steps_of("weights", work_.folder.on_step);
    agree(group_.communicator(), [&] {
      pass_.emplace(work_.inputs, group_, work_.layout, work_.place.device, [&](int64_t stage) {
        work_.heartbeat.beat();
        if (on_step) on_step(fmt::format("stage {} loaded", stage));
      });
    });
    spdlog::info("weights are ready; model group of {} over {}", group_.size(),
                 group_.backend_name());
  }

  /// Runs the units one after another. Returns the last verdict.
  Verdict measure() {
    const auto& inputs = work_.inputs;
    const bool is_first = work_.place.session.rank() == 0;
    const auto& units = assignment_.units;
    work_.heartbeat.begin("beginning", work_.patience.step_s);
    progress_.emplace(tokens_of(inputs, units), inputs.checkpoint.architecture().layers + 1,
                      assignment_.all_tokens, is_first);
    runner_.emplace(SegmentRunner::Environment{inputs, work_.layout, group_, writer_,
                                               work_.folder.on_step, *progress_, work_.heartbeat},
                    *pass_, work_.place.device);
    auto verdict = Verdict::kGoOn;
    for (size_t i = 0; i < units.size() && verdict == Verdict::kGoOn; ++i) {
      verdict = run_unit(units[i], i + 1 == units.size());
    }
    if (!work_.place.device.is_cpu()) {
      at::accelerator::synchronizeDevice(work_.place.device.index());
    }
    if (is_first && verdict == Verdict::kGoOn) {
      log_summary(inputs, *pass_, *progress_, assignment_.all_tokens);
    }
    return verdict;
  }

 private:
  Verdict run_unit(int64_t unit, bool is_last) {
    const auto& inputs = work_.inputs;
    const int64_t prompt = unit - inputs.segments.segments();
    if (prompt < 0) return runner_->run_segment(unit, is_last);
    return runner_->run_prompt(inputs.job.capture.prompts[prompt], unit, is_last);
  }

  const GroupWork& work_;
  const Group& group_;
  const Assignment& assignment_;
  SegmentWriter& writer_;
  std::optional<BlockPass> pass_;
  std::optional<Progress> progress_;
  std::optional<SegmentRunner> runner_;
};

/// Measures a group's units, which `writer` goes on to write. Returns the last verdict.
Verdict measure_units(const GroupWork& work, ModelGroup& model, const Assignment& assignment,
                      SegmentWriter& writer) {
  GroupPass pass(work, model.group, assignment, writer);
  try {
    pass.load();
    return pass.measure();
  } catch (const AgreedError&) {
    throw;
  } catch (...) {
    // Here, while the pass lives: its end may wait for the device, and the device for a peer.
    model.groups.abort();
    const auto ending = ending_of(std::current_exception());
    end_world(work, ending.message, ending.code);
  }
}

/// Measures and writes a group's units. Returns the last verdict.
Verdict measure(const GroupWork& work, ModelGroup& model, const Assignment& assignment) {
  if (assignment.units.empty()) return Verdict::kGoOn;
  SegmentWriter writer(model.group, work.folder);
  const auto verdict = measure_units(work, model, assignment, writer);
  work.heartbeat.begin("committing the last segment", work.patience.consolidation_s);
  writer.finish();  // the memory of the model is free by now
  return verdict;
}

/// The error of a group that others know nothing of: the failing rank reports it and ends all
/// ranks; its peers wait for that.
[[noreturn]] void end_alone(const AgreedError& error) {
  if (!error.is_mine()) std::this_thread::sleep_for(std::chrono::seconds(10));
  throw Error(error.kind(), error.what());
}

}  // namespace

void end_world(const GroupWork& work, const std::string& message, int code) {
  const bool is_of_device = code == static_cast<int>(ErrorKind::kDevice);
  const auto step = is_of_device ? fmt::format(" (at {})", work.heartbeat.last().step) : "";
  spdlog::error("{}{}", message, step);
  work.output.give_up();
  work.place.session.abort(code);
}

bool measure_pending(const GroupWork& work, const std::vector<int64_t>& pending) {
  if (pending.empty()) return true;
  const UncaughtEnd uncaught(
      [&](const Ending& ending) { end_world(work, ending.message, ending.code); });
  const auto& layout = work.layout;
  const auto replica = static_cast<int>(work.place.number / layout.members);
  Assignment assignment{{}, tokens_of(work.inputs, pending)};
  for (size_t i = replica; i < pending.size(); i += layout.replicas) {
    assignment.units.push_back(pending[i]);
  }
  ModelGroup model(replica, work.place, work.watchdog);
  auto verdict = Verdict::kGoOn;
  try {
    verdict = measure(work, model, assignment);
    model.groups.finish();
  } catch (const AgreedError& error) {
    model.groups.abort();
    if (layout.replicas > 1) end_alone(error);
    throw;
  }
  work.heartbeat.begin("waiting for the other model groups", work.patience.waiting_s);
  int is_stopped = verdict != Verdict::kGoOn;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &is_stopped, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD),
            "MPI_Allreduce");
  return is_stopped == 0;
}

}  // namespace actsweep
