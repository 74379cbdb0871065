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
#include "comm/shared_counter.h"
#include "run/ending.h"
#include "run/segment_runner.h"
#include "run/stop.h"
#include "run/unit_queue.h"

namespace actsweep {
namespace {

/// Each of them with its tokens; a captured prompt counts none.
std::vector<UnitQueue::Unit> units_of(const SweepInputs& inputs,
                                      const std::vector<int64_t>& numbers) {
  std::vector<UnitQueue::Unit> units;
  for (const auto number : numbers) {
    int64_t tokens = 0;
    if (number < inputs.segments.segments()) {
      const auto range = inputs.segments.segment(number);
      const auto& windows = inputs.windows;
      tokens = windows.tokens_before(range.end) - windows.tokens_before(range.begin);
    }
    units.push_back({number, tokens});
  }
  return units;
}

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

void log_summary(const SweepInputs& inputs, BlockPass& pass, const Progress& progress,
                 int64_t tokens) {
  if (tokens == 0) return;
  const double seconds = progress.elapsed_s();
  spdlog::info("measured {} tokens in {:.1f} s, {:.0f} tokens/s", tokens, seconds,
               static_cast<double>(tokens) / seconds);
  spdlog::info(
      "rank 0: model {:.1f} s, statistics {:.1f} s, rows {:.1f} s, waiting for "
      "weights {:.2f} s ({})",
      pass.clock().seconds_of(Part::kModel), pass.clock().seconds_of(Part::kStatistics),
      pass.clock().seconds_of(Part::kRows), pass.waited_for_weights_s(),
      name_of(inputs.job.parallel.weights));
}

/// A model group at its work. What it holds of the device outlives the exceptions of its methods.
class GroupPass {
 public:
  GroupPass(const GroupWork& work, const Group& group, UnitQueue& queue, SegmentWriter& writer)
      : work_(work), group_(group), queue_(queue), writer_(writer) {}

  /// Collective over the model group: all members have their weights, or none goes on.
  void load() {
    spdlog::info("reading the weights");
    work_.heartbeat.begin("reading the weights", work_.patience.loading_s);
    const auto on_step = steps_of("weights", work_.folder.on_step);
    agree(group_.communicator(), [&] {
      pass_.emplace(work_.inputs, group_, work_.layout, work_.place.device, [&](int64_t stage) {
        work_.heartbeat.beat();
        queue_.serve();
        if (on_step) on_step(fmt::format("stage {} loaded", stage));
      });
    });
    spdlog::info("weights are ready; model group of {} over {}", group_.size(),
                 group_.backend_name());
  }

  /// Runs units one after another, as long as some are left. Returns the last verdict.
  Verdict measure() {
    const auto& inputs = work_.inputs;
    const bool is_first = work_.place.session.rank() == 0;
    work_.heartbeat.begin("beginning", work_.patience.step_s);
    progress_.emplace(queue_.tokens(), inputs.checkpoint.architecture().layers + 1, is_first);
    runner_.emplace(
        SegmentRunner::Environment{inputs, work_.layout, group_, writer_, work_.folder.on_step,
                                   *progress_, work_.heartbeat, queue_},
        *pass_, work_.place.device);
    auto verdict = Verdict::kGoOn;
    while (verdict == Verdict::kGoOn) {
      const auto unit = queue_.take();
      progress_->shared_by(queue_.shared_by());
      if (!unit) break;
      verdict = run_unit(*unit);
    }
    if (!work_.place.device.is_cpu()) {
      at::accelerator::synchronizeDevice(work_.place.device.index());
    }
    if (is_first && verdict == Verdict::kGoOn) {
      log_summary(inputs, *pass_, *progress_, queue_.tokens());
    }
    return verdict;
  }

 private:
  Verdict run_unit(int64_t unit) {
    const auto& inputs = work_.inputs;
    const int64_t prompt = unit - inputs.segments.segments();
    if (prompt < 0) return runner_->run_segment(unit);
    return runner_->run_prompt(inputs.job.capture.prompts[prompt], unit);
  }

  const GroupWork& work_;
  const Group& group_;
  UnitQueue& queue_;
  SegmentWriter& writer_;
  std::optional<BlockPass> pass_;
  std::optional<Progress> progress_;
  std::optional<SegmentRunner> runner_;
};

/// Measures units, which `writer` goes on to write. Returns the last verdict.
Verdict measure_units(const GroupWork& work, ModelGroup& model, UnitQueue& queue,
                      SegmentWriter& writer) {
  GroupPass pass(work, model.group, queue, writer);
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

/// Measures and writes units from `queue`. Returns the last verdict.
Verdict measure(const GroupWork& work, ModelGroup& model, UnitQueue& queue) {
  if (!queue.peek()) return Verdict::kGoOn;
  SegmentWriter writer(model.group, work.folder);
  const auto verdict = measure_units(work, model, queue, writer);
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

/// Of a stop that this rank is asked for while it waits: others may still measure.
void tell_signal(SharedCounter& counter) {
  const auto left_s = signalled_stop_s();
  if (!left_s || counter.told()) return;
  spdlog::info("a stop was asked for while this model group waits for others");
  counter.tell(*left_s);
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
  ModelGroup model(replica, work.place, work.watchdog);
  SharedCounter counter(layout.replicas > 1 ? MPI_COMM_WORLD : MPI_COMM_SELF, layout.replicas);
  UnitQueue queue(units_of(work.inputs, pending), replica, model.group, counter,
                  {work.heartbeat, work.patience.waiting_s});
  auto verdict = Verdict::kGoOn;
  try {
    verdict = measure(work, model, queue);
    model.groups.finish();
  } catch (const AgreedError& error) {
    model.groups.abort();
    if (layout.replicas > 1) end_alone(error);
    throw;
  }
  work.heartbeat.begin("waiting for the other model groups", work.patience.waiting_s);
  counter.finish([&] { tell_signal(counter); });
  int is_stopped = verdict != Verdict::kGoOn;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &is_stopped, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD),
            "MPI_Allreduce");
  return is_stopped == 0;
}

}  // namespace actsweep
