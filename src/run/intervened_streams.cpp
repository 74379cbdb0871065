#include "run/intervened_streams.h"

#include <ATen/ATen.h>

namespace actsweep {
namespace {

/// [layers + 1, groups, C] float32; undefined where there are none.
at::Tensor tensor_of(const InterventionMeans& means, const Architecture& a) {
  if (means.values.empty()) return {};
  return at::tensor(means.values, at::kFloat).view({a.layers + 1, means.groups, a.channels});
}

}  // namespace

IntervenedStreams::IntervenedStreams(const SweepInputs& inputs, const at::Tensor& like)
    : wanted_(inputs.job.interventions) {
  const auto& a = inputs.checkpoint.architecture();
  for (size_t i = 0; i < wanted_.size(); ++i) {
    interventions_.emplace_back(intervention_name(i), wanted_[i], a.layers,
                                tensor_of(inputs.intervention_means[i], a));
  }
  for (const auto& name : inputs.job.variants()) {
    variants_.push_back({name, first_layer_of(inputs.job, name), at::empty_like(like)});
  }
}

void IntervenedStreams::leave_and_change(const LayerRows& original, int64_t first_row,
                                         const InterventionListener& listener) {
  for (size_t i = 0; i < variants_.size(); ++i) {
    if (variants_[i].first_layer != original.layer) continue;
    auto rows = variants_[i].stream.narrow(0, first_row, original.rows.size(0));
    rows.copy_(original.rows);
    change_variant(i, {original.layer, original.labels, rows}, listener);
  }
  change_original(original, listener);
}

void IntervenedStreams::change_original(const LayerRows& original,
                                        const InterventionListener& listener) const {
  change(std::nullopt, original, listener);
}

void IntervenedStreams::change_variant(size_t variant, const LayerRows& rows,
                                       const InterventionListener& listener) const {
  change(variants_[variant].name, rows, listener);
}

void IntervenedStreams::change(const std::optional<std::string>& variant,
                               const LayerRows& layer_rows,
                               const InterventionListener& listener) const {
  auto rows = layer_rows.rows;
  for (size_t i = 0; i < interventions_.size(); ++i) {
    const bool is_own = wanted_[i].variant == variant;
    if (!is_own && wanted_[i].variant) continue;
    if (!interventions_[i].applies_at(layer_rows.layer)) continue;
    const auto counts = interventions_[i].apply(layer_rows.layer, layer_rows.labels, rows);
    if (is_own && listener) listener(i, counts);
  }
}

}  // namespace actsweep
