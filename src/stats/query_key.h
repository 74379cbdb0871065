// Sums of squares of queries, keys and values over tokens, by head and channel, before and after
// rotary positions: their roots are the M of arXiv 2502.01563.
//
// In: this rank's heads of all gathered rows. Out: fields over all heads, with its part filled in.
#pragma once

#include <string>
#include <vector>

#include "model/observer.h"
#include "stats/field_set.h"
#include "stats/gathered_sequences.h"
#include "weights/share.h"

namespace actsweep {

class QueryKeyMoments : public SegmentFields {
 public:
  QueryKeyMoments(const ModelShare& share, const Extents& extents, at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// Queries, keys or values before rotary positions: [gathered rows, heads * D].
  void update(Site site, int64_t layer, const at::Tensor& rows,
              const std::vector<GatheredSequence>& sequences);
  /// Queries and keys after them.
  void update_rotated(const AttentionView& view, const std::vector<GatheredSequence>& sequences);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  void add(const std::string& name, bool is_query, int64_t layer, const at::Tensor& rows,
           const std::vector<GatheredSequence>& sequences) const;

  ModelShare share_;
  FieldSet fields_;
};

}  // namespace actsweep
