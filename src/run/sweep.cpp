#include "run/sweep.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "comm/agreement.h"
#include "comm/binding.h"
#include "comm/device.h"
#include "comm/groups.h"
#include "kernels/product_instructions.h"
#include "output/consolidate.h"
#include "output/durable.h"
#include "run/attributes.h"
#include "run/machine.h"
#include "run/output_claim.h"
#include "run/pending.h"
#include "run/segment_runner.h"
#include "run/shared_fingerprint.h"
#include "weights/stage.h"

namespace actsweep {
namespace {

/// A sweep's place in the world.
struct Place {
  const MpiSession& session;
  at::Device device = at::kCPU;
  int64_t threads = 1;
};

Machine describe_machine(const SweepInputs& inputs, const Place& place) {
  Machine machine;
  machine.ranks = place.session.size();
  machine.threads = place.threads;
  machine.memory_bytes = memory_to_plan_bytes(place.device, place.session.local_size());
  machine.operations_per_s = measure_product_rate(inputs.job.model.dtype, place.device);
  machine.free_disk_bytes = free_disk_bytes(inputs.job.output.path);
  // Every rank must plan the same blocks.
  std::array<double, 3> least = {static_cast<double>(machine.memory_bytes),
                                 machine.operations_per_s,
                                 static_cast<double>(machine.free_disk_bytes)};
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, least.data(), 3, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD),
            "MPI_Allreduce");
  machine.memory_bytes = static_cast<int64_t>(least[0]);
  machine.operations_per_s = least[1];
  machine.free_disk_bytes = static_cast<int64_t>(least[2]);
  return machine;
}

/// Whether any rank does: every rank must plan the same blocks.
bool a_rank_widens_products(const SweepInputs& inputs, const Place& place) {
  int widens = widens_products(scalar_type(inputs.job.model.dtype), place.device) ? 1 : 0;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &widens, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD),
            "MPI_Allreduce");
  return widens != 0;
}

/// The state on disk as rank 0 sees it, so that all ranks agree on what is pending.
std::vector<int64_t> agree_on_pending(const SweepInputs& inputs, const nlohmann::json& identity,
                                      const OutputClaim& output, SweepState& state,
                                      const MpiSession& session) {
  std::vector<int64_t> pending;
  agree(MPI_COMM_WORLD, [&] {
    if (session.rank() != 0) return;
    state = find_state(inputs, identity);
    if (state.is_complete) return;
    output.check_held();
    pending = pending_units(inputs, state);
  });
  std::array<int64_t, 2> facts = {state.is_complete, static_cast<int64_t>(pending.size())};
  check_mpi(MPI_Bcast(facts.data(), 2, MPI_INT64_T, 0, MPI_COMM_WORLD), "MPI_Bcast");
  state.is_complete = facts[0] != 0;
  pending.resize(facts[1]);
  check_mpi(MPI_Bcast(pending.data(), static_cast<int>(facts[1]), MPI_INT64_T, 0, MPI_COMM_WORLD),
            "MPI_Bcast");
  return pending;
}

int64_t tokens_of(const SweepInputs& inputs, const std::vector<int64_t>& units) {
  int64_t tokens = 0;
  for (const auto unit : units) {
    if (unit >= inputs.segments.segments()) continue;
    const auto range = inputs.segments.segment(unit);
    tokens += inputs.windows.tokens_before(range.end) - inputs.windows.tokens_before(range.begin);
  }
  return tokens;
}

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

/// This rank's model group and its owner. Collective over the world.
struct ModelGroup {
  ModelGroup(int replica, at::Device device)
      : members(split(MPI_COMM_WORLD, replica)),
        group(groups.add(members.get(), make_backend(members.get(), device))) {}

  const Communicator members;
  Groups groups;
  const Group& group;
};

/// What one model group is given to do.
struct Assignment {
  const SweepLayout& layout;
  std::vector<int64_t> units;
  SegmentFolder folder;
  int64_t all_tokens = 0;  // that all groups are given
};

/// Runs the units one after another. Returns the last verdict.
Verdict run_units(const SweepInputs& inputs, const Place& place, const std::vector<int64_t>& units,
                  SegmentRunner& runner) {
  auto verdict = Verdict::kGoOn;
  for (size_t i = 0; i < units.size() && verdict == Verdict::kGoOn; ++i) {
    const int64_t unit = units[i], prompt = unit - inputs.segments.segments();
    const bool is_last = i + 1 == units.size();
    verdict = prompt < 0 ? runner.run_segment(unit, is_last)
                         : runner.run_prompt(inputs.job.capture.prompts[prompt], unit, is_last);
  }
  if (!place.device.is_cpu()) at::accelerator::synchronizeDevice(place.device.index());
  return verdict;
}

/// Measures a group's units, which `writer` goes on to write. Returns the last verdict.
Verdict measure_units(const SweepInputs& inputs, ModelGroup& model, const Place& place,
                      const Assignment& assignment, SegmentWriter& writer) {
  spdlog::info("reading the weights");
  const auto on_loaded = [on_step = steps_of("weights", assignment.folder.on_step)](int64_t stage) {
    if (on_step) on_step(fmt::format("stage {} loaded", stage));
  };
  const auto& group = model.group;
  BlockPass pass(inputs, group, assignment.layout, place.device, on_loaded);
  spdlog::info("weights are ready; model group of {} over {}", group.size(), group.backend_name());
  const int64_t tokens = tokens_of(inputs, assignment.units);
  Progress progress(tokens, inputs.checkpoint.architecture().layers + 1, assignment.all_tokens,
                    place.session.rank() == 0);
  SegmentRunner runner(
      {inputs, assignment.layout, group, writer, assignment.folder.on_step, progress}, pass,
      place.device);
  auto verdict = Verdict::kGoOn;
  try {
    verdict = run_units(inputs, place, assignment.units, runner);
  } catch (...) {
    // Here, while the pass lives: its end may wait for the device, and the device for a peer.
    model.groups.abort();
    throw;
  }
  if (place.session.rank() == 0 && verdict == Verdict::kGoOn) {
    log_summary(inputs, pass, progress, assignment.all_tokens);
  }
  return verdict;
}

/// Measures and writes a group's units. Returns the last verdict.
Verdict measure(const SweepInputs& inputs, ModelGroup& model, const Place& place,
                const Assignment& assignment) {
  if (assignment.units.empty()) return Verdict::kGoOn;
  SegmentWriter writer(model.group, assignment.folder);
  const auto verdict = measure_units(inputs, model, place, assignment, writer);
  writer.finish();  // the memory of the model is free by now
  return verdict;
}

/// The error of a group that others know nothing of: the failing rank reports it and ends all
/// ranks; its peers wait for that.
[[noreturn]] void end_alone(const AgreedError& error) {
  if (!error.is_mine()) std::this_thread::sleep_for(std::chrono::seconds(10));
  throw Error(error.kind(), error.what());
}

void consolidate(const SweepInputs& inputs, const SweepLayout& layout,
                 const nlohmann::json& identity, const StepHook& on_step) {
  const auto folder = segment_folder(inputs.job.output.path);
  Assembly assembly;
  std::vector<FoundSegment> segments;
  agree(MPI_COMM_WORLD, [&] { segments = find_segments(folder); });
  const auto facts = inputs.facts();
  for (const auto& segment : segments) assembly.parts.push_back(segment.path);
  for (const auto axis : all_axes()) {
    if (const auto length = axis_length(facts, axis); length > 0) assembly.extents[axis] = length;
  }
  const auto offsets = static_cast<int64_t>(inputs.vocabulary_offset().size());
  assembly.extents[Axis::kVocabulary] = offsets - 1;
  assembly.extents[Axis::kVocabularyOffset] = offsets;
  assembly.extents[Axis::kVocabularyByte] = static_cast<int64_t>(inputs.vocabulary_bytes().size());
  assembly.target = inputs.job.output.path;
  assembly.datasets = inputs.datasets;
  assembly.attributes = root_attributes(inputs, layout, identity, segments);
  assembly.constants = constant_datasets(inputs);
  assembly.derive = [&](const MergedFields& fields) {
    refuse_unmatched(inputs.job, fields);
    return derive(inputs.job, fields, [&](int64_t layer, int64_t neuron, int64_t channel) {
      return down_weight(inputs.checkpoint, layer - 1, neuron, channel);
    });
  };
  assembly.on_step = steps_of("consolidation", on_step);
  assemble(assembly, MPI_COMM_WORLD);
}

/// Removes the segments of a file that is complete.
void finish_output(OutputClaim& output) {
  output.remove_segments();
  const auto folder = segment_folder(output.path());
  std::error_code ignored;
  if (!std::filesystem::exists(folder, ignored)) return;
  spdlog::warn("{}: not removed: it holds files that are not segments", folder);
}

/// What is left to do for a complete file: a kill between its renaming and the removal of its
/// segments leaves those.
void finish_complete(OutputClaim& output) {
  const auto folder = segment_folder(output.path());
  std::error_code ignored;
  if (std::filesystem::exists(folder, ignored)) {
    sync_path(folder_of(output.path()));
    finish_output(output);
    spdlog::info("{}: removed: its segments are in the complete file", folder);
  }
  spdlog::info("{}: is complete, nothing to do", output.path());
}

/// Measures what is pending. Returns the exit code.
int measure_pending(const SweepInputs& inputs, const SweepLayout& layout, const Place& place,
                    const std::vector<int64_t>& pending, const SegmentFolder& folder) {
  if (pending.empty()) return 0;
  const auto replica = static_cast<int>(place.session.rank() / layout.members);
  Assignment assignment{layout, {}, folder, tokens_of(inputs, pending)};
  for (size_t i = replica; i < pending.size(); i += layout.replicas) {
    assignment.units.push_back(pending[i]);
  }
  ModelGroup model(replica, place.device);
  auto verdict = Verdict::kGoOn;
  try {
    verdict = measure(inputs, model, place, assignment);
    model.groups.finish();
  } catch (const AgreedError& error) {
    model.groups.abort();
    if (layout.replicas > 1) end_alone(error);
    throw;
  }
  int is_stopped = verdict != Verdict::kGoOn;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &is_stopped, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD),
            "MPI_Allreduce");
  if (is_stopped != 0) {
    if (place.session.rank() == 0) spdlog::info("stopped early; finished segments are committed");
    return kExitStopped;
  }
  return 0;
}

}  // namespace

int run_sweep(const Job& asked, const MpiSession& session, const StepHook& each_step) {
  Place place{session};
  OutputClaim output(asked, session);
  Job wanted = asked;
  wanted.output.path = output.path();
  const StepHook on_step = [&](std::string_view step) {
    output.check();
    if (each_step) each_step(step);
  };
  agree(MPI_COMM_WORLD, [&] { place.device = choose_device(session.local_rank()); });
  place.threads = wanted.parallel.threads.value_or(threads_per_rank(MPI_COMM_WORLD));
  at::set_num_threads(static_cast<int>(place.threads));
  const auto binding = binding_warning(MPI_COMM_WORLD, wanted.parallel.threads);
  if (session.rank() == 0 && !binding.empty()) spdlog::warn("{}", binding);
  std::optional<SweepInputs> inputs;
  agree(MPI_COMM_WORLD, [&] { inputs.emplace(wanted); });
  share_fingerprint(*inputs, session);
  const auto identity = inputs->identity(place.threads);
  SweepState state;
  const auto pending = agree_on_pending(*inputs, identity, output, state, session);
  if (state.is_complete) {
    agree(MPI_COMM_WORLD, [&] {
      if (session.rank() == 0) finish_complete(output);
    });
    return 0;
  }
  auto facts = inputs->facts();
  facts.widens_products = a_rank_widens_products(*inputs, place);
  facts.pads_groups = !place.device.is_cpu();
  const auto machine = describe_machine(*inputs, place);
  SweepLayout layout;
  agree(MPI_COMM_WORLD, [&] { layout = plan_layout(facts, machine); });
  if (session.rank() == 0) {
    for (const auto& note : inputs->checkpoint.notes()) spdlog::info("{}", note);
    for (const auto& warning : inputs->warnings()) spdlog::warn("{}", warning);
    spdlog::info("plan\n{}", layout_table(facts, machine, layout));
    spdlog::info("{} of {} units of work are pending", pending.size(),
                 inputs->segments.segments() + static_cast<int64_t>(wanted.capture.prompts.size()));
  }
  const SegmentFolder folder{segment_folder(wanted.output.path),
                             segment_attributes(identity, describe_device(place.device)), on_step};
  const int code = measure_pending(*inputs, layout, place, pending, folder);
  if (code != 0) return code;
  if (wanted.corpus.shard.count > 1) {
    if (session.rank() == 0) {
      spdlog::info("shard {}/{} is complete; a run without [corpus] shard makes the sweep file",
                   wanted.corpus.shard.index, wanted.corpus.shard.count);
    }
    return 0;
  }
  consolidate(*inputs, layout, identity, on_step);
  if (session.rank() != 0) return 0;
  {
    const std::jthread removal([&] { finish_output(output); });
    inputs.reset();  // which takes as long, as it unmaps the weights
  }
  spdlog::info("{}: complete", output.path());
  return 0;
}

}  // namespace actsweep
