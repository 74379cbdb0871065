#include "stats/expert_statistics.h"

#include <ATen/ATen.h>

#include "schema/declare_statistics.h"
#include "stats/channel_squares.h"

namespace actsweep {
namespace {

std::vector<Dataset> declare(bool measures_inputs) {
  auto datasets = declare_experts();
  if (!measures_inputs) return datasets;
  for (const auto& dataset : declare_expert_inputs()) datasets.push_back(dataset);
  return datasets;
}

/// Which of the view's rows are of a token, [kept] int64: not of padding, and finite to the end.
at::Tensor kept_rows(const ExpertView& view, const std::vector<GatheredSequence>& sequences) {
  const auto is_finite = at::sum(view.output, at::IntArrayRef{1}, false, at::kDouble).isfinite();
  auto is_of_token = at::zeros_like(is_finite);
  for (const auto& sequence : sequences) {
    is_of_token.logical_or_(view.row.ge(sequence.first_row)
                                .logical_and_(view.row.lt(sequence.first_row + sequence.length)));
  }
  return at::nonzero(is_of_token.logical_and_(is_finite)).select(1, 0);
}

}  // namespace

ExpertStatistics::ExpertStatistics(bool measures_inputs, const Extents& extents, at::Device device)
    : measures_inputs_(measures_inputs), fields_(declare(measures_inputs), extents, device) {}

void ExpertStatistics::update(const ExpertView& view,
                              const std::vector<GatheredSequence>& sequences) {
  const auto kept = kept_rows(view, sequences);
  if (kept.size(0) == 0) return;
  fields_.layer("token_count", view.layer + 1).select(0, view.expert).add_(kept.size(0));
  auto largest = fields_.layer("max_output", view.layer + 1).select(0, view.expert);
  const auto output = view.output.index_select(0, kept).to(at::kFloat);
  largest.copy_(at::maximum(largest, output.abs().amax()));
  if (!measures_inputs_) return;
  add_input("input", view, view.input, kept);
  add_input("hidden", view, view.hidden, kept);
}

/// `rows`: [rows, channels of the part].
void ExpertStatistics::add_input(const std::string& part, const ExpertView& view,
                                 const at::Tensor& rows, const at::Tensor& kept) const {
  const auto field = [&](const char* statistic) {
    return fields_.layer(part + statistic, view.layer + 1).select(0, view.expert);
  };
  add_channel_squares(rows, kept, field("_max_magnitude"), field("_sum_square"));
}

}  // namespace actsweep
