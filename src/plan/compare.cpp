#include "plan/compare.h"

#include <fmt/format.h>

#include <algorithm>

namespace actsweep {
namespace {

constexpr double kAlike = 1.01;

SweepFacts with_layout(SweepFacts facts, int64_t members, WeightMode weights) {
  facts.job.parallel.tensor = members;
  facts.job.parallel.weights = weights;
  facts.segments = plan_segments(facts.sequences, facts.tokens, facts.job, members);
  return facts;
}

LayoutChoice choice_of(const SweepFacts& facts, const Machine& machine) {
  const int64_t members = facts.job.parallel.tensor, unit = facts.segments.windows_per_microbatch;
  LayoutChoice choice;
  choice.members = members;
  choice.weights = facts.job.parallel.weights;
  choice.microbatch_tokens = unit * facts.job.corpus.sequence_length;
  choice.block_windows = largest_block(facts, machine, members);
  const int64_t block = choice.fits() ? choice.block_windows : unit;
  choice.memory_bytes = memory_demand(facts, members, machine.threads, block).total();
  choice.costs = sweep_costs(facts, machine, members, block);
  return choice;
}

/// The number of heads that ranks share most finely; 0 where nothing bounds it.
int64_t most_members(const SweepFacts& facts) {
  const auto& a = facts.architecture;
  return a.heads > 0 ? a.heads : a.channels;
}

std::string cost_row(const std::string& name, double seconds, const std::string& amount) {
  return fmt::format("  {:<18}{:>9}  {}\n", name, exact_time(seconds), amount);
}

std::string choice_text(const LayoutChoice& choice, const Machine& machine) {
  const auto& limit = choice.costs.limit();
  return fmt::format("{:>3} x {:<4} {:<9} {:>8.2f} GiB  {:<9} {}", choice.members,
                     machine.ranks / choice.members, name_of(choice.weights),
                     static_cast<double>(choice.memory_bytes) / (1ll << 30),
                     time_text(choice.costs.seconds()), limit.name);
}

}  // namespace

std::vector<LayoutChoice> compare_layouts(const SweepFacts& facts, const Machine& machine) {
  std::vector<LayoutChoice> choices;
  for (int64_t members = 1; members <= std::min(machine.ranks, most_members(facts)); ++members) {
    if (machine.ranks % members != 0) continue;
    for (const auto weights : {WeightMode::kResident, WeightMode::kStreamed}) {
      choices.push_back(choice_of(with_layout(facts, members, weights), machine));
    }
  }
  return choices;
}

std::optional<LayoutChoice> recommended(const std::vector<LayoutChoice>& choices) {
  std::optional<LayoutChoice> best;
  for (const auto& choice : choices) {
    if (!choice.fits()) continue;
    if (!best || choice.costs.seconds() * kAlike < best->costs.seconds()) best = choice;
  }
  return best;
}

std::string cost_table(const SweepFacts& facts, const Machine& machine, const SweepCosts& costs) {
  if (costs.costs.empty()) return "";
  std::string text = fmt::format("costs on {}: {} nodes of {} {}\n", machine.name, machine.nodes(),
                                 machine.ranks_of_node(), machine.is_gpu ? "GPUs" : "ranks");
  for (const auto& cost : costs.costs) {
    const auto* beside = cost.phase == Phase::kBeside ? ", beside the model" : "";
    text += cost_row(cost.name, cost.seconds, cost.amount + beside);
  }
  const double seconds = costs.seconds();
  text +=
      cost_row("in all", seconds, fmt::format("{:.0f} tokens/s", as_real(facts.tokens) / seconds));
  return text + table_row("limit", costs.limit().name);
}

std::string comparison_table(const SweepFacts& facts, const Machine& machine) {
  if (machine.rates.products <= 0) return "";
  const auto choices = compare_layouts(facts, machine);
  std::string text = "layouts: tensor x replicas, weights, memory a rank, time, limit\n";
  int64_t refused = 0;
  for (const auto& choice : choices) {
    if (choice.fits()) text += table_row("", choice_text(choice, machine));
    refused += choice.fits() ? 0 : 1;
  }
  if (refused > 0) text += table_row("", fmt::format("{} others do not fit", refused));
  const auto best = recommended(choices);
  if (!best) return text;
  return text +
         table_row("recommended", fmt::format("--set parallel.tensor={} --set parallel.weights={}",
                                              best->members, name_of(best->weights)));
}

}  // namespace actsweep
