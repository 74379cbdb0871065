// Value updates: what a set of keys adds to the attention output, against a random set of equal
// size (definitions: docs/statistics.md, section 3).
//
// In: what a layer shows of its attention, then its attention output. Queries are those of a
// window's second half that see the set whole; the random set is drawn from the first half, without
// the set's own. Out: fields over all heads, with this rank's heads and owned rows filled in.
#pragma once

#include <vector>

#include "comm/group.h"
#include "model/observer.h"
#include "stats/field_set.h"
#include "stats/key_sets.h"
#include "weights/share.h"

namespace actsweep {

/// `count` different numbers of [0, total) that are not in `taken` (rising), rising; fewer where
/// there are no more. The i-th number drawn is splitmix64(seed, i) modulo what is left, in the list
/// of those left.
std::vector<int64_t> draw_positions(uint64_t seed, int64_t count, int64_t total,
                                    const std::vector<int64_t>& taken);

class ValueUpdates : public SegmentFields {
 public:
  /// All must outlive it.
  ValueUpdates(const KeySets& sets, const Group& group, const ModelShare& share,
               const Extents& extents, at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// Collective over the model group.
  void update(const AttentionView& view, const std::vector<GatheredSequence>& sequences,
              const int64_t* is_event);
  /// The attention output of the same layer and micro-batch: [owned rows, C] of any dtype.
  void finish(int64_t layer, const at::Tensor& attention_output);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  /// Over the queries of a micro-batch, in this rank's heads.
  struct Sums {
    at::Tensor update;   // [H, D] float64
    at::Tensor square;   // [H] float64
    at::Tensor queries;  // int64
  };

  void add_selection(const AttentionView& view, const std::vector<GatheredSequence>& sequences,
                     const int64_t* is_event, int64_t set, int64_t selection);
  void add_sequence(const AttentionView& view, const GatheredSequence& sequence,
                    const std::vector<int64_t>& keys, const at::Tensor& weight, at::Tensor& target,
                    Sums& sums);
  at::Tensor place_of(const char* name, int64_t layer, int64_t set, int64_t selection) const;

  const KeySets& sets_;
  const Group& group_;
  ModelShare share_;
  FieldSet fields_;
  std::vector<at::Tensor> norms_;  // [selections * sets] of [owned rows] float64, of this layer
};

}  // namespace actsweep
