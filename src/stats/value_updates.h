// Value updates: what a set of keys adds to the attention output, against a random set of equal
// size (definitions: docs/statistics.md, section 3).
//
// In: what a layer shows of its attention, then its attention output. Queries are those of a
// window's second half that see the set whole; the random set is drawn from the first half, without
// the set's own. Out: fields over all heads, with this rank's heads and owned rows filled in.
#pragma once

#include <vector>

#include "comm/group.h"
#include "stats/attention_scores.h"
#include "stats/field_set.h"
#include "stats/key_groups.h"
#include "weights/share.h"

namespace actsweep {

class ValueUpdates : public SegmentFields {
 public:
  /// `group` must outlive it.
  ValueUpdates(size_t sets, const Group& group, const ModelShare& share, const Extents& extents,
               at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// `heads` and `groups`: null on a rank without heads. `is_finite` [S] bool: the sequences that
  /// count. Collective over the model group.
  void update(const AttentionView& view, const GatheredHeads* heads, const KeyGroups* groups,
              const at::Tensor& is_finite);
  /// The attention output of the same layer and micro-batch: [owned rows, C] of any dtype.
  void finish(int64_t layer, const at::Tensor& attention_output);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  struct Selection;
  void add_selection(const Selection& selection, at::Tensor& partial) const;
  void add_owned(const at::Tensor& partial, at::Tensor square_sum);
  at::Tensor place_of(const char* name, int64_t layer, int64_t set, int64_t selection) const;

  size_t sets_;
  const Group& group_;
  ModelShare share_;
  FieldSet fields_;
  std::vector<at::Tensor> norms_;  // [selections * sets] of [owned rows] float64, of this layer
};

}  // namespace actsweep
