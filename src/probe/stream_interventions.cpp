#include "probe/stream_interventions.h"

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
  for (const auto& [number, is_heard, intervention] : all_) {
    if (!intervention.applies_at(site, layer)) continue;
    const auto donors = intervention.shuffles() ? gather_donors(labels, rows, group) : Donors();
    const auto counts = intervention.apply(layer, labels, rows, donors);
    if (is_heard && on_change_) on_change_(number, counts);
  }
}

}  // namespace actsweep
