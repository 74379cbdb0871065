// Attention to sets of keys, the sink metric, the entropy and the norms of values (definitions:
// docs/statistics.md, section 3).
//
// In: what a layer shows of its attention, for this rank's heads of all gathered rows. Out: fields
// over all heads, with this rank's part filled in; what is the same for all heads is counted by
// the member that has the first one.
#pragma once

#include <optional>
#include <vector>

#include "stats/attention_scores.h"
#include "stats/field_set.h"
#include "stats/key_groups.h"
#include "weights/share.h"

namespace actsweep {

class AttentionStatistics : public SegmentFields {
 public:
  /// `extents` has the lengths of all axes.
  AttentionStatistics(const KeySets& sets, const ModelShare& share, const Extents& extents,
                      at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// What a rank with heads sees of a layer and micro-batch. `is_finite` [S] bool: the sequences
  /// that count.
  void update(const GatheredHeads& heads, const KeyGroups& groups, const at::Tensor& is_finite);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  struct Layer;
  at::Tensor mine(const char* name, const Layer& layer) const;
  at::Tensor mine_of_keys(const char* name, const Layer& layer) const;
  void count(const char* name, const Layer& layer, const at::Tensor& counts, int64_t at = -1) const;
  void add_set(const Layer& layer, size_t set, const at::Tensor& value_norms) const;
  void add_learned(const Layer& layer, int64_t set) const;
  void add_sink(const Layer& layer) const;
  void add_entropy(const Layer& layer) const;
  at::Tensor add_values(const Layer& layer) const;

  size_t sets_;
  std::optional<size_t> learned_slot_;  // which of them
  ModelShare share_;
  FieldSet fields_;
};

}  // namespace actsweep
