#include "run/plan_command.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <thread>

#include "comm/device.h"
#include "model/product_instructions.h"
#include "model/stage.h"
#include "plan/layout.h"
#include "run/inputs.h"
#include "run/machine.h"

namespace actsweep {

std::string plan_table(const Job& job, const PlanRequest& request) {
  const SweepInputs inputs(job);
  const auto device = choose_device(0);
  const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
  Machine machine;
  machine.ranks = request.ranks;
  machine.threads = job.parallel.threads.value_or(std::max<int64_t>(1, cores / request.ranks));
  at::set_num_threads(static_cast<int>(machine.threads));
  machine.memory_bytes = request.memory_gib
                             ? static_cast<int64_t>(*request.memory_gib * (1ll << 30))
                             : available_memory_bytes(device) / request.ranks;
  machine.operations_per_s = measure_product_rate(job.model.dtype, device);
  machine.free_disk_bytes = free_disk_bytes(job.output.path);
  auto facts = inputs.facts();
  facts.widens_products = widens_products(scalar_type(job.model.dtype), device);
  const auto layout = plan_layout(facts, machine);
  auto table = layout_table(facts, machine, layout);
  for (const auto& warning : inputs.warnings()) {
    table += fmt::format("  {:<14}{}\n", "warning", warning);
  }
  return table;
}

Job schema_job() {
  Job job;
  job.statistics.sites = {Site::kResidual, Site::kMlpHidden, Site::kMlpOutput};
  job.statistics.loss = true;
  job.statistics.attention = {"position:0"};
  job.statistics.value_updates = job.statistics.query_key = true;
  job.statistics.experts = job.statistics.expert_inputs = true;
  job.capture.prompts = {"NAME"};
  job.capture.attention = true;
  job.interventions.emplace_back().variant = "NAME";
  return job;
}

}  // namespace actsweep
