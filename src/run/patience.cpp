#include "run/patience.h"

#include <algorithm>

namespace actsweep {
namespace {

constexpr double kLeast_s = 120;
constexpr double kSteps = 50;          // an estimate may be wrong by so much
constexpr double kOpening_s = 3600;    // corpora are read through
constexpr double kSlowDisk = 10e6;     // bytes a second that several ranks read
constexpr double kSlowWriter = 100e6;  // that one rank merges and writes
constexpr double kSlowGroup = 20;      // times as long as the plan's

double seconds_at(double rate, int64_t bytes) { return static_cast<double>(bytes) / rate; }

/// What the plan expects of one model group, for all of the sweep's work.
double group_seconds(const SweepLayout& layout) {
  return layout.seconds * static_cast<double>(layout.replicas);
}

double default_step_s(const SweepFacts& facts, const SweepLayout& layout) {
  const auto& plan = facts.segments;
  const int64_t unit = plan.windows_per_microbatch;
  const int64_t batches = std::max<int64_t>(1, (plan.windows + unit - 1) / unit);
  const auto steps = static_cast<double>(batches * (facts.architecture.layers + 1));
  const bool is_streamed = facts.job.parallel.weights == WeightMode::kStreamed;
  const double reading_s = is_streamed ? seconds_at(kSlowDisk, layout.memory.weights) : 0;
  return std::max({kLeast_s, kSteps * group_seconds(layout) / steps, reading_s});
}

}  // namespace

Patience patience_of(const SweepFacts& facts, const SweepLayout& layout) {
  const auto& asked = facts.job.parallel.patience_s;
  Patience patience;
  patience.step_s = asked ? static_cast<double>(*asked) : default_step_s(facts, layout);
  patience.loading_s = patience.step_s + seconds_at(kSlowDisk, layout.memory.weights);
  patience.consolidation_s = patience.step_s + seconds_at(kSlowWriter, layout.disk.segments);
  patience.waiting_s = patience.loading_s + patience.consolidation_s + kSlowGroup * layout.seconds;
  return patience;
}

double opening_patience_s(const Job& job, int64_t bytes) {
  const auto asked = static_cast<double>(job.parallel.patience_s.value_or(0));
  return std::max(kLeast_s, asked) + kOpening_s + seconds_at(kSlowDisk, bytes);
}

}  // namespace actsweep
