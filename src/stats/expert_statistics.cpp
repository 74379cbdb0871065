#include "stats/expert_statistics.h"

#include <ATen/ATen.h>

#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

std::vector<Dataset> declare(const Job& job) {
  auto datasets = declare_experts();
  if (!job.statistics.expert_inputs) return datasets;
  for (const auto& dataset : declare_expert_inputs(job.statistics.quantisation)) {
    datasets.push_back(dataset);
  }
  return datasets;
}

/// Largest magnitudes of the kept rows of each run: [runs] float32.
at::Tensor largest_of(const at::Tensor& rows, const RowRuns& runs) {
  const auto of_rows = rows.abs().amax(1).to(at::kFloat).masked_fill(runs.is_kept.logical_not(), 0);
  return at::segment_reduce(of_rows, "max", lengths_of(runs, rows.device()), {}, {}, 0,
                            /*unsafe=*/true, 0);
}

/// Sums of the kept values [list] of each run, in their order: [runs] float64.
at::Tensor kept_sums(const at::Tensor& values, const RowRuns& runs) {
  const auto kept = values.to(at::kDouble).masked_fill(runs.is_kept.logical_not(), 0);
  return at::segment_reduce(kept, "sum", lengths_of(runs, values.device()), {}, {}, 0,
                            /*unsafe=*/true, 0);
}

/// How many rows of each run are kept: [runs] int64.
at::Tensor counts_of(const RowRuns& runs) {
  const auto lengths = lengths_of(runs, runs.is_kept.device());
  const auto run = at::arange(lengths.size(0), lengths.options());
  const auto run_of = at::repeat_interleave(run, lengths, 0, runs.is_kept.size(0));
  return at::zeros_like(lengths).scatter_add_(0, run_of, runs.is_kept.to(at::kLong));
}

}  // namespace

ExpertStatistics::ExpertStatistics(const Job& job, const Extents& extents, at::Device device)
    : measures_inputs_(job.statistics.expert_inputs),
      measures_ranges_(job.statistics.quantisation),
      fields_(declare(job), extents, device) {}

/// The experts of a view in a field of its layer.
at::Tensor ExpertStatistics::place_of(const std::string& name, const ExpertsView& view) const {
  return fields_.layer(name, view.layer + 1).narrow(0, view.first_expert, view.experts());
}

/// Of the inputs of the projections that read a part.
ChannelSums ExpertStatistics::sums_of(const std::string& part, const ExpertsView& view) const {
  ChannelSums sums = {place_of(part + "_max_magnitude", view), place_of(part + "_sum", view),
                      place_of(part + "_sum_square", view)};
  if (measures_ranges_) {
    sums.lowest = place_of(part + "_min", view);
    sums.highest = place_of(part + "_max", view);
  }
  return sums;
}

void ExpertStatistics::update(const ExpertsView& view, const at::Tensor& is_token) {
  const auto is_finite = at::sum(view.output, at::IntArrayRef{1}, false, at::kDouble).isfinite();
  const auto is_kept = is_token.index_select(0, view.row).logical_and_(is_finite);
  const RowRuns of_outputs = {view.first, view.first, is_kept};
  place_of("token_count", view).add_(counts_of(of_outputs));
  auto largest = place_of("max_output", view);
  largest.copy_(at::maximum(largest, largest_of(view.output, of_outputs)));
  const auto norm = at::norm(view.output, 2, {1}, false, at::kFloat);
  place_of("gate_sum", view).add_(kept_sums(view.gate, of_outputs));
  place_of("output_norm_sum", view).add_(kept_sums(norm, of_outputs));
  place_of("weighted_norm_sum", view)
      .add_(kept_sums(view.gates_input ? norm : norm * view.gate, of_outputs));
  if (!measures_inputs_) return;
  const RowRuns of_inputs = {view.first, view.begin, is_kept};
  add_channel_sums(view.input, of_inputs, sums_of("input", view));
  add_channel_sums(view.hidden, of_inputs, sums_of("hidden", view));
}

}  // namespace actsweep
