#include "run/plan_command.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <thread>

#include "checkpoint/model_fingerprint.h"
#include "comm/device.h"
#include "kernels/product_instructions.h"
#include "output/output_place.h"
#include "plan/layout.h"
#include "run/config_plan.h"
#include "run/inputs.h"
#include "run/machine.h"
#include "weights/stage.h"

namespace actsweep {
namespace {

constexpr double kMostMemory_gib = 1e6;

/// A plan reads no weights, and so may not know whether the sweeps that means come from are of this
/// model.
std::string unchecked_sources(const SweepInputs& inputs) {
  for (size_t i = 0; i < inputs.intervention_means.size(); ++i) {
    if (inputs.intervention_means[i].of_model.empty()) continue;
    return fmt::format(
        "{} from: run will check that it is a sweep of this model, whose weights are not read yet",
        intervention_name(i));
  }
  return "";
}

void check_memory(const PlanRequest& request) {
  if (const auto& gib = request.memory_gib) {
    require(*gib > 0 && *gib <= kMostMemory_gib, ErrorKind::kJob,
            "--memory: expected GiB above 0, at most {}, found {}", kMostMemory_gib, *gib);
  }
}

Machine machine_for(const Job& job, const PlanRequest& request, at::Device device) {
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  Machine machine;
  machine.ranks = request.ranks;
  machine.threads = job.parallel.threads.value_or(std::max<int64_t>(1, cores / request.ranks));
  at::set_num_threads(static_cast<int>(machine.threads));
  machine.memory_bytes = request.memory_gib
                             ? static_cast<int64_t>(*request.memory_gib * (1ll << 30))
                             : memory_to_plan_bytes(device, request.ranks);
  machine.operations_per_s = measure_product_rate(job.model.dtype, device);
  return machine;
}

std::string table_of(SweepFacts facts, const PlanRequest& request, const std::string& output) {
  const auto device = choose_device(0);
  auto machine = machine_for(facts.job, request, device);
  machine.free_disk_bytes = free_disk_bytes(output);
  facts.widens_products = widens_products(scalar_type(facts.job.model.dtype), device);
  return layout_table(facts, machine, plan_layout(facts, machine));
}

}  // namespace

std::string plan_table(const Job& job, const PlanRequest& request) {
  check_memory(request);
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
  check_memory(request);
  return table_of(facts_of_config(config, job, request.tokens), request, ".");
}

Job schema_job() {
  Job job;
  job.statistics.sites = {Site::kResidual, Site::kMlpHidden, Site::kMlpOutput};
  job.statistics.classes = Classes::kRole;
  job.statistics.loss = true;
  job.statistics.attention = {"position:0"};
  job.statistics.attention_received = job.statistics.score_extrema = true;
  job.statistics.value_updates = job.statistics.query_key = true;
  job.statistics.experts = job.statistics.expert_inputs = true;
  job.capture.prompts = {"NAME"};
  job.capture.attention = true;
  job.interventions.emplace_back().variant = "NAME";
  return job;
}

}  // namespace actsweep
