#include "stats/intervention_statistics.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "schema/declare_statistics.h"
#include "stats/loss_statistics.h"

namespace actsweep {
namespace {

int64_t variant_of(const Job& job, const Job::Intervention& intervention) {
  if (!intervention.variant) return -1;
  const auto names = job.variants();
  return std::find(names.begin(), names.end(), *intervention.variant) - names.begin();
}

std::vector<Dataset> variant_fields(const Job& job) {
  if (job.variants().empty()) return {};
  std::vector<Dataset> fields;
  if (job.statistics.loss) fields = declare_variant_losses();
  for (auto& field : declare_variant_matches()) fields.push_back(std::move(field));
  return fields;
}

}  // namespace

InterventionStatistics::InterventionStatistics(const Job& job, at::Device device)
    : rows_(declare_variant_rows(job.output.per_token)),
      interventions_(declare_interventions(),
                     {{Axis::kIntervention, static_cast<int64_t>(job.interventions.size())}},
                     device),
      variants_(variant_fields(job),
                {{Axis::kVariant, static_cast<int64_t>(job.variants().size())}}, device) {
  for (const auto& one : job.interventions) variant_of_.push_back(variant_of(job, one));
}

void InterventionStatistics::begin_segment() {
  interventions_.clear();
  variants_.clear();
}

void InterventionStatistics::add_matches(size_t intervention, int64_t tokens, int64_t activations) {
  const auto add = [&](const FieldSet& fields, int64_t at) {
    fields.values("matched_tokens").select(0, at).add_(tokens);
    fields.values("changed_activations").select(0, at).add_(activations);
  };
  add(interventions_, static_cast<int64_t>(intervention));
  if (const int64_t variant = variant_of_[intervention]; variant >= 0) add(variants_, variant);
}

void InterventionStatistics::add_loss(size_t variant, const OwnedRows& labels,
                                      const at::Tensor& token_nll, RowSink& sink) {
  add_losses(sum_losses(labels, token_nll, real_nll_), variants_, static_cast<int64_t>(variant));
  for (const auto& dataset : rows_) sink.append(dataset, bytes_of(real_nll_));
}

std::vector<Field> InterventionStatistics::fields() const {
  auto fields = interventions_.fields();
  for (auto& field : variants_.fields()) fields.push_back(field);
  return fields;
}

}  // namespace actsweep
