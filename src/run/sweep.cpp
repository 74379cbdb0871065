#include "run/sweep.h"

#include <spdlog/spdlog.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "comm/agreement.h"
#include "comm/device.h"
#include "comm/messages.h"
#include "kernels/product_instructions.h"
#include "output/consolidate.h"
#include "output/durable.h"
#include "output/linked_rows.h"
#include "run/attention_kernels.h"
#include "run/attributes.h"
#include "run/group_work.h"
#include "run/machine.h"
#include "run/machine_rates.h"
#include "run/output_claim.h"
#include "run/pending.h"
#include "run/shared_fingerprint.h"
#include "weights/stage.h"

namespace actsweep {
namespace {

Machine describe_machine(const SweepInputs& inputs, const SweepFacts& facts, const Place& place) {
  Machine machine;
  machine.ranks = place.session.size();
  machine.threads = place.threads;
  machine.memory_bytes = memory_to_plan_bytes(place.device, place.session.local_size());
  machine.is_gpu = !place.device.is_cpu();
  if (machine.is_gpu) {
    machine.host_bytes = memory_to_plan_bytes(at::kCPU, place.session.local_size());
  }
  const auto rates = measure_rates(facts, place.device, kRunEffort);
  machine.rates = rates;
  machine.free_disk_bytes = free_disk_bytes(inputs.job.output.path);
  // Every rank must plan the same blocks and times.
  check_mpi(MPI_Bcast(&machine.rates, sizeof(Rates), MPI_BYTE, 0, MPI_COMM_WORLD), "MPI_Bcast");
  std::array<double, 4> least = {as_real(machine.memory_bytes), rates.products,
                                 as_real(machine.free_disk_bytes), as_real(machine.host_bytes)};
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, least.data(), 4, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD),
            "MPI_Allreduce");
  machine.memory_bytes = static_cast<int64_t>(least[0]);
  machine.rates.products = least[1];
  machine.free_disk_bytes = static_cast<int64_t>(least[2]);
  machine.host_bytes = static_cast<int64_t>(least[3]);
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

/// The layout that all ranks follow, which rank 0 prints.
SweepLayout plan_sweep(const SweepInputs& inputs, const Place& place, size_t pending) {
  auto facts = inputs.facts();
  facts.widens_products = a_rank_widens_products(inputs, place);
  facts.pads_groups = !place.device.is_cpu();
  const auto machine = describe_machine(inputs, facts, place);
  SweepLayout layout;
  agree(MPI_COMM_WORLD, [&] { layout = plan_layout(facts, machine); });
  if (place.session.rank() != 0) return layout;
  for (const auto& note : inputs.checkpoint.notes()) spdlog::info("{}", note);
  for (const auto& warning : inputs.warnings()) spdlog::warn("{}", warning);
  if (facts.pads_groups) {
    const auto lines =
        attention_kernels_of(inputs.checkpoint.architecture(), inputs.job, place.device);
    for (const auto& line : lines) spdlog::info("{}", line);
  }
  spdlog::info("plan\n{}", layout_table(facts, machine, layout));
  const auto prompts = static_cast<int64_t>(inputs.job.capture.prompts.size());
  spdlog::info("{} of {} units of work are pending", pending, inputs.segments.segments() + prompts);
  return layout;
}

/// The segments as rank 0 sees them: the lists of nodes may differ for a while. Collective over the
/// world; on other ranks the paths alone.
std::vector<FoundSegment> list_segments(const std::string& folder, const MpiSession& session) {
  std::vector<FoundSegment> segments;
  agree(MPI_COMM_WORLD, [&] {
    if (session.rank() == 0) segments = find_segments(folder);
  });
  std::vector<std::string> paths;
  for (const auto& segment : segments) paths.push_back(segment.path);
  broadcast(paths, MPI_COMM_WORLD);
  segments.resize(paths.size());
  for (size_t i = 0; i < paths.size(); ++i) segments[i].path = paths[i];
  agree(MPI_COMM_WORLD, [&] {
    for (const auto& path : paths) wait_for_file(path);
  });
  return segments;
}

void consolidate(const GroupWork& work, const nlohmann::json& identity) {
  const auto& inputs = work.inputs;
  const auto folder = segment_folder(inputs.job.output.path);
  Assembly assembly;
  const auto segments = list_segments(folder, work.place.session);
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
  assembly.links_rows = inputs.job.output.layout == RowLayout::kLinked;
  assembly.datasets = inputs.datasets;
  assembly.attributes =
      root_attributes(inputs, work.layout, identity, segments, work.place.is_mixed);
  assembly.constants = constant_datasets(inputs);
  assembly.derive = [&](const MergedFields& fields) {
    refuse_unmatched(inputs.job, fields);
    return derive(inputs.job, fields, [&](int64_t layer, int64_t neuron, int64_t channel) {
      return down_weight(inputs.checkpoint, layer - 1, neuron, channel);
    });
  };
  assembly.on_step = steps_of("consolidation", work.folder.on_step);
  assembly.on_progress = [&] { work.heartbeat.beat(); };
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

bool is_linked_file(const std::string& path) {
  return is_linked(H5File::open(path, ErrorKind::kOutput));
}

/// What is left to do for a complete file: a kill between its renaming and the removal of its
/// segments leaves those.
void finish_complete(OutputClaim& output) {
  const auto folder = segment_folder(output.path());
  std::error_code ignored;
  if (std::filesystem::exists(folder, ignored) && !is_linked_file(output.path())) {
    sync_path(folder_of(output.path()));
    finish_output(output);
    spdlog::info("{}: removed: its segments are in the complete file", folder);
  }
  spdlog::info("{}: is complete, nothing to do", output.path());
}

}  // namespace

int run_sweep(const Job& asked, const MpiSession& session, const StepHook& each_step) {
  OutputClaim output(asked, session);
  Job wanted = asked;
  wanted.output.path = output.path();
  const StepHook on_step = [&](std::string_view step) {
    output.check();
    if (each_step) each_step(step);
  };
  const Place place = find_place(wanted, session);
  Heartbeat heartbeat;
  Watchdog watchdog(watched_rank(place), heartbeat, [&] { output.give_up(); });
  heartbeat.begin("opening the inputs", opening_patience_s(wanted, 0));
  std::optional<SweepInputs> inputs;
  agree(MPI_COMM_WORLD, [&] { inputs.emplace(wanted); });
  heartbeat.begin("reading the model's fingerprint",
                  opening_patience_s(wanted, inputs->checkpoint.stored_bytes()));
  share_fingerprint(*inputs, session);
  heartbeat.begin("planning", opening_patience_s(wanted, 0));
  // On a GPU threads only move bytes.
  const auto identity =
      inputs->identity(place.device.is_cpu() ? std::optional(place.threads) : std::nullopt);
  SweepState state;
  const auto pending = agree_on_pending(*inputs, identity, output, state, session);
  if (state.is_complete) {
    agree(MPI_COMM_WORLD, [&] {
      if (session.rank() == 0) finish_complete(output);
    });
    return 0;
  }
  const auto layout = plan_sweep(*inputs, place, pending.size());
  const auto patience = patience_of(inputs->facts(), layout);
  const SegmentFolder folder{segment_folder(wanted.output.path),
                             segment_attributes(identity, describe_device(place.device)), on_step};
  const GroupWork work{*inputs, layout, place, patience, folder, output, heartbeat, watchdog};
  if (!measure_pending(work, pending)) {
    if (session.rank() == 0) spdlog::info("stopped early; finished segments are committed");
    return kExitStopped;
  }
  if (wanted.corpus.shard.count > 1) {
    if (session.rank() == 0) {
      spdlog::info("shard {}/{} is complete; a run without [corpus] shard makes the sweep file",
                   wanted.corpus.shard.index, wanted.corpus.shard.count);
    }
    return 0;
  }
  heartbeat.begin("consolidation", patience.consolidation_s);
  consolidate(work, identity);
  if (session.rank() != 0) return 0;
  const bool is_packed = wanted.output.layout == RowLayout::kPacked;
  {
    const std::jthread removal([&] {
      if (is_packed) finish_output(output);
    });
    inputs.reset();  // which takes as long, as it unmaps the weights
  }
  spdlog::info("{}: complete{}", output.path(),
               is_packed ? "" : "; its rows stay in " + segment_folder(output.path()));
  return 0;
}

}  // namespace actsweep
