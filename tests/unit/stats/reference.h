// What the statistics must give, by plain loops in double precision that share no code with them,
// and what they give.
//
// In: a micro-batch with labels. Out: values by dataset path, all as double, which holds every
// declared type's values exactly but for counts beyond 2^53.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "stats/site_statistics.h"

namespace actsweep::testing {

using Values = std::map<std::string, std::vector<double>>;

/// A micro-batch that owns its labels.
struct Batch {
  OwnedRows labels;
  at::Tensor rows;  // [row_count, C] float32

  SiteBatch at_layer(int64_t layer) const { return {rows, layer, &labels}; }
};

/// Windows of the given lengths (0 begins a padding sequence, which must stand last) of random
/// activations; padding rows hold NaN and huge values.
Batch make_batch(const std::vector<int64_t>& lengths, int64_t channels, uint64_t seed);

/// The row of position `position` in window `window`: [C].
float* row_of(Batch& batch, int64_t window, int64_t position);

/// The rows and fields of one micro-batch at one layer of the site "residual".
Values expected_values(const Batch& batch, int64_t top_k);
/// Its events, and how many of them max_events leaves out.
std::vector<Event> expected_events(const Batch& batch, const Job& job, int64_t& left_out);

/// Rows as they come.
class CollectingSink : public RowSink {
 public:
  void append(const Dataset& dataset, std::span<const std::byte> values) override;
  Values values;
};

/// One layer of every field.
Values values_of(const std::vector<Field>& fields, int64_t layer);

/// Elements of a dataset's bytes as doubles.
std::vector<double> to_doubles(ElementType type, std::span<const std::byte> bytes);

/// Every dataset of `expected` stands in `found`: float64 sums to `sum_tolerance` relative to the
/// largest of their dataset, float32 norms to two units in the last place, all else exactly.
void expect_equal(const Values& found, const Values& expected, double sum_tolerance);

}  // namespace actsweep::testing
