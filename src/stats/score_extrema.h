// The largest score of each head with the positions of its query and its key (QK-Clip, arXiv
// 2507.20534), and the largest norms of its queries, keys and values.
//
// In: what a layer shows of its attention, for this rank's heads of all gathered rows. Out: fields
// over all heads, with its part filled in.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "kernels/second_look.h"
#include "model/observer.h"
#include "stats/field_set.h"
#include "stats/gathered_sequences.h"
#include "weights/share.h"

namespace actsweep {

class ScoreExtrema : public SegmentFields {
 public:
  ScoreExtrema(const ModelShare& share, const Extents& extents, at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// What a rank with heads sees of a layer and micro-batch; `found` has the largest scores.
  /// `is_finite` [S] bool: the sequences that count.
  void update(const AttentionView& view, const ScoreSummary& found,
              const GatheredSequences& sequences, const at::Tensor& is_finite);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  at::Tensor mine(const char* name, int64_t layer) const;
  void add_norms(const char* name, const Share& heads, int64_t layer, const at::Tensor& rows,
                 const at::Tensor& counts);

  ModelShare share_;
  FieldSet fields_;
};

}  // namespace actsweep
