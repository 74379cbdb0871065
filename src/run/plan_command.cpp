#include "run/plan_command.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "checkpoint/model_fingerprint.h"
#include "comm/device.h"
#include "kernels/product_instructions.h"
#include "output/output_place.h"
#include "plan/compare.h"
#include "plan/layout.h"
#include "plan/machine_file.h"
#include "run/config_plan.h"
#include "run/inputs.h"
#include "run/machine.h"
#include "run/machine_rates.h"
#include "weights/stage.h"

namespace actsweep {
namespace {

constexpr double kMostMemory_gib = 1e6;

/// A plan reads no weights, and so may not know whether the sweeps that a job takes something from
/// are of this model.
std::string unchecked_sources(const SweepInputs& inputs) {
  std::string key;
  for (size_t i = inputs.intervention_means.size(); i-- > 0;) {
    if (!inputs.intervention_means[i].of_model.empty()) key = intervention_name(i) + " from";
  }
  if (key.empty() && !inputs.lifecycle_model.empty()) key = "[statistics] lifecycle_from";
  if (key.empty()) return "";
  return fmt::format(
      "{}: run will check that it is a sweep of this model, whose weights are not read yet", key);
}

void check_request(const PlanRequest& request) {
  require(request.ranks || !request.machine.empty(), ErrorKind::kJob,
          "plan: expected --ranks, or --machine, found neither");
  if (const auto& gib = request.memory_gib) {
    require(*gib > 0 && *gib <= kMostMemory_gib, ErrorKind::kJob,
            "--memory: expected GiB above 0, at most {}, found {}", kMostMemory_gib, *gib);
  }
}

int64_t bytes_of(double gib) { return static_cast<int64_t>(gib * (1ll << 30)); }

/// The machine that `plan` runs on, with the ranks that it shall have.
Machine measure_machine(SweepFacts& facts, int64_t ranks) {
  const auto device = choose_device(0);
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  Machine machine;
  machine.ranks = ranks;
  machine.threads = facts.job.parallel.threads.value_or(std::max<int64_t>(1, cores / ranks));
  machine.is_gpu = !device.is_cpu();
  at::set_num_threads(static_cast<int>(machine.threads));
  // Ranks share a node's memory; a GPU's is one rank's.
  machine.memory_bytes = memory_to_plan_bytes(device, machine.is_gpu ? 1 : ranks);
  if (machine.is_gpu) machine.host_bytes = memory_to_plan_bytes(at::kCPU, ranks);
  machine.rates = measure_rates(facts, device, kPlanEffort);
  facts.widens_products = widens_products(scalar_type(facts.job.model.dtype), device);
  return machine;
}

Machine machine_for(SweepFacts& facts, const PlanRequest& request, const std::string& output) {
  Machine machine;
  if (request.machine.empty()) {
    machine = measure_machine(facts, *request.ranks);
    machine.free_disk_bytes = free_disk_bytes(output);
  } else {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
    machine = read_machine(request.machine, machine_folder(program), facts.job.model.dtype,
                           request.ranks);
    machine.threads = facts.job.parallel.threads.value_or(machine.threads);
  }
  facts.pads_groups = machine.is_gpu;
  if (request.memory_gib) machine.memory_bytes = bytes_of(*request.memory_gib);
  return machine;
}

std::string table_of(SweepFacts facts, const PlanRequest& request, const std::string& output) {
  const auto machine = machine_for(facts, request, output);
  const auto layout = plan_layout(facts, machine);
  return layout_table(facts, machine, layout) + cost_table(facts, machine, layout.costs) +
         comparison_table(facts, machine);
}

}  // namespace

std::string plan_table(const Job& job, const PlanRequest& request) {
  check_request(request);
  const std::string output = resolve_output(job.output.path);
  SweepInputs inputs(job);
  auto warnings = inputs.warnings();
  if (const auto known = known_fingerprint_of(inputs.checkpoint)) {
    inputs.set_model_fingerprint(*known);
  } else if (const auto unchecked = unchecked_sources(inputs); !unchecked.empty()) {
    warnings.push_back(unchecked);
  }
  auto table = table_of(inputs.facts(), request, output);
  for (const auto& warning : warnings) table += fmt::format("  {:<14}{}\n", "warning", warning);
  return table;
}

std::string config_plan_table(const std::string& config, const Job& job,
                              const PlanRequest& request) {
  check_request(request);
  return table_of(facts_of_config(config, job, request.tokens), request, ".");
}

Job schema_job() {
  Job job;
  job.statistics.sites = {Site::kResidual, Site::kMlpHidden, Site::kMlpOutput};
  job.statistics.classes = Classes::kRole;
  job.statistics.loss = true;
  job.statistics.classifier = kOwnClassifier;
  job.statistics.attention = {"position:0"};
  job.statistics.attention_received = job.statistics.score_extrema = true;
  job.statistics.value_updates = job.statistics.query_key = true;
  job.statistics.quantisation = job.statistics.channel_quantiles = true;
  job.statistics.geometry = true;
  job.statistics.event_updates = job.statistics.lifecycle = true;
  job.statistics.formats = {NumberFormat::kNvfp4};
  job.store.sites = {Site::kResidual};
  job.statistics.experts = job.statistics.expert_inputs = job.statistics.expert_rows = true;
  job.capture.prompts = {"NAME"};
  job.capture.attention = true;
  job.interventions.emplace_back().variant = "NAME";
  return job;
}

}  // namespace actsweep
