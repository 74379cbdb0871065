// Attention to sets of keys, the sink metric, the entropy and the norms of values (definitions:
// docs/statistics.md, section 3).
//
// In: what a layer shows of its attention, for this rank's heads of all gathered rows. Out: fields
// over all heads, with this rank's part filled in; what is the same for all heads is counted by
// the member that has the first one.
#pragma once

#include <vector>

#include "checkpoint/architecture.h"
#include "model/observer.h"
#include "stats/attention_scores.h"
#include "stats/field_set.h"
#include "stats/key_sets.h"
#include "weights/share.h"

namespace actsweep {

class AttentionStatistics : public SegmentFields {
 public:
  /// `sets` must outlive it. `extents` has the lengths of all axes.
  AttentionStatistics(const KeySets& sets, const ModelShare& share, const Extents& extents,
                      at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// `is_event` as KeySets::positions takes it.
  void update(const AttentionView& view, const std::vector<GatheredSequence>& sequences,
              const int64_t* is_event);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  struct Sequence;
  at::Tensor mine(const char* name, int64_t layer) const;
  at::Tensor mine_of_keys(const char* name, int64_t layer) const;
  void count(const char* name, int64_t layer, int64_t value, int64_t at = -1) const;
  void add_sets(const Sequence& sequence, const int64_t* is_event) const;
  void add_set(const Sequence& sequence, int64_t set, const at::Tensor& positions) const;
  void add_sink(const Sequence& sequence) const;
  void add_entropy(const Sequence& sequence) const;
  void add_values(const Sequence& sequence) const;
  at::Tensor value_norms(const SequenceHeads& heads) const;

  const KeySets& sets_;
  ModelShare share_;
  FieldSet fields_;
};

}  // namespace actsweep
