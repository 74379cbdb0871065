// Sums of squares of queries, keys and values over tokens, by head and channel, before and after
// rotary positions: their roots are the M of arXiv 2502.01563.
//
// In: this rank's heads of all gathered rows. Out: fields over all heads, with its part filled in.
#pragma once

#include <string>
#include <vector>

#include "model/observer.h"
#include "stats/field_set.h"
#include "stats/sequence_groups.h"
#include "weights/share.h"

namespace actsweep {

/// The sequences of a micro-batch as the sums over their rows take them.
struct QueryKeyGroups {
  /// `width`: D. `sequences` must outlive it.
  QueryKeyGroups(const GatheredSequences& sequences, const ModelShare& share, int64_t width,
                 const Grouping& grouping);

  const GatheredSequences& sequences;
  std::vector<SequenceGroup> of_queries;
  std::vector<SequenceGroup> of_keys;
};

class QueryKeyMoments : public SegmentFields {
 public:
  QueryKeyMoments(const ModelShare& share, const Extents& extents, at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// Queries, keys or values before rotary positions: [gathered rows, heads * D]. `is_finite` [S]
  /// bool: the sequences that count.
  void update(Site site, int64_t layer, const at::Tensor& rows, const QueryKeyGroups& groups,
              const at::Tensor& is_finite);
  /// Queries and keys after them.
  void update_rotated(const AttentionView& view, const QueryKeyGroups& groups,
                      const at::Tensor& is_finite);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  struct Part;
  void add(const Part& part, int64_t layer, const at::Tensor& rows,
           const at::Tensor& is_finite) const;

  ModelShare share_;
  FieldSet fields_;
};

}  // namespace actsweep
