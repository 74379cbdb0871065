#include "probe/stream_interventions.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace actsweep {

StreamInterventions::StreamInterventions(std::vector<StreamIntervention> all)
    : all_(std::move(all)) {}

bool StreamInterventions::apply_at(Site site, int64_t layer) const {
  return std::any_of(all_.begin(), all_.end(), [&](const StreamIntervention& one) {
    return one.intervention.applies_at(site, layer);
  });
}

void StreamInterventions::apply(Site site, int64_t layer, const OwnedRows& labels, at::Tensor& rows,
                                const Group& group) const {
  for (const auto& one : all_) {
    const auto& intervention = one.intervention;
    if (!intervention.applies_at(site, layer)) continue;
    const auto donors = intervention.shuffles() ? gather_donors(labels, rows, group) : Donors();
    report(one, intervention.apply(layer, labels, rows, donors));
  }
}

bool StreamInterventions::any_at(AppliesAt applies, int64_t layer) const {
  return std::any_of(all_.begin(), all_.end(), [&](const StreamIntervention& one) {
    return (one.intervention.*applies)(layer);
  });
}

/// Writes the owned rows of what all members need of the gathered ones.
void StreamInterventions::write_gathered(AppliesAt applies, Write write, int64_t layer,
                                         const OwnedRows& labels, const at::Tensor& gathered,
                                         const Group& group) const {
  const int64_t rows = labels.row_count();
  auto own = gathered.narrow(0, group.rank() * rows, rows).clone();
  for (const auto& one : all_) {
    if ((one.intervention.*applies)(layer)) report(one, (one.intervention.*write)(labels, own));
  }
  auto all = at::empty_like(gathered);
  gathered.copy_(group.all_gather(own, all));
}

bool StreamInterventions::shift_scores_at(int64_t layer) const {
  return any_at(&Intervention::shifts_scores_at, layer);
}

void StreamInterventions::shift_scores(int64_t layer, const OwnedRows& labels,
                                       const at::Tensor& shift, const Group& group) const {
  write_gathered(&Intervention::shifts_scores_at, &Intervention::shift, layer, labels, shift,
                 group);
}

bool StreamInterventions::bar_experts_at(int64_t layer) const {
  return any_at(&Intervention::bars_experts_at, layer);
}

void StreamInterventions::bar_experts(int64_t layer, const OwnedRows& labels,
                                      const at::Tensor& is_barred, const Group& group) const {
  write_gathered(&Intervention::bars_experts_at, &Intervention::bar, layer, labels, is_barred,
                 group);
}

bool StreamInterventions::silence_experts_at(int64_t layer) const {
  return any_at(&Intervention::silences_experts_at, layer);
}

void StreamInterventions::silence_experts(int64_t layer, const OwnedRows& labels,
                                          const at::Tensor& expert, const at::Tensor& weight,
                                          const Group& group) const {
  const int64_t rows = labels.row_count();
  const auto own = expert.narrow(0, group.rank() * rows, rows);
  auto is_silent = at::zeros(own.sizes(), own.options());
  for (const auto& one : all_) {
    if (!one.intervention.silences_experts_at(layer)) continue;
    report(one, one.intervention.silence(labels, own, is_silent));
  }
  auto all = at::empty(expert.sizes(), expert.options());
  weight.masked_fill_(group.all_gather(is_silent, all).to(at::kBool), 0);
}

ChangedWeights StreamInterventions::change_weights(int64_t layer, const OwnedRows& labels,
                                                   const at::Tensor& down, Share neurons) const {
  ChangedWeights changed;
  for (const auto& one : all_) {
    const auto& intervention = one.intervention;
    if (!intervention.changes_weight_at(layer)) continue;
    report(one, {labels.real_tokens(), labels.real_tokens()});
    const int64_t column = intervention.column();
    if (column < neurons.begin || column >= neurons.end) continue;
    const auto element = down[intervention.row()][column - neurons.begin];
    changed.change(element, intervention.weight_of(element.item<double>()));
  }
  return changed;
}

void ChangedWeights::change(const at::Tensor& element, double value) {
  kept_.push_back({element, element.clone()});
  element.fill_(value);
}

ChangedWeights::~ChangedWeights() {
  for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) kept->element.copy_(kept->value);
}

void StreamInterventions::report(const StreamIntervention& one,
                                 const Intervention::Counts& counts) const {
  if (one.is_heard && on_change_) on_change_(one.number, counts);
}

}  // namespace actsweep
