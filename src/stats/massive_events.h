// Events: activations of the residual stream that pass the criterion against the median of their
// sequence (reading 1, the official one) or of their token (reading 2).
//
// With event_updates each event says what attention and MLP of its layer have changed of it, and
// those of the next layer.
//
// In: measured micro-batches. Out: per sequence at most max_events events by falling magnitude,
// ties by lower position, then lower channel; the field of declare_massive_counts counts the rest.
#pragma once

#include <vector>

#include "schema/criterion.h"
#include "stats/statistic.h"

namespace actsweep {

class MassiveEvents : public Statistic {
 public:
  MassiveEvents(const Job& job, const Extents& extents, at::Device device);
  void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) override;

 private:
  /// A token with at least one event, and what it is judged against.
  struct Suspect {
    int64_t window = 0;  // of the labels
    int64_t position = 0;
    int64_t row = 0;  // of the batch
    float sequence_median = 0;
    float token_median = 0;
  };

  /// The suspects' rows, [C] each: of a batch, before its layer, and between mixer and MLP.
  struct SuspectRows {
    const float* value = nullptr;
    const float* before = nullptr;  // null: not asked for, or the embedding
    const float* between = nullptr;
  };

  std::vector<Suspect> find_suspects(const OwnedRows& labels, const Measured& measured) const;
  Event describe(const SiteBatch& batch, const Suspect& suspect) const;
  void find_events(const SuspectRows& rows, const Suspect& suspect, const Event& description);
  void find_changes(const SiteBatch& batch, std::vector<Event>& events) const;
  int64_t keep_largest(std::vector<Event>& events);

  Criterion criterion_;
  int64_t max_events_;
  int64_t top_k_;
  int64_t channels_;
  std::vector<Event> found_;  // of the window at hand
};

}  // namespace actsweep
