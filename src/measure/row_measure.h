// The measure of one row: its largest magnitudes, exact lower median and norm, in one look at it.
//
// In: a row of C float32 values. Out: the top k by magnitude (ties by lower channel), the lower
// median of the magnitudes, the Euclidean norm, and what its window wants of it. A row with a
// value that is not finite gives nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "measure/row_kernels.h"

namespace actsweep {

/// Where a row's results go.
struct RowResult {
  float* top_value = nullptr;       // [k]
  uint32_t* top_channel = nullptr;  // [k]
  float* median = nullptr;
  float* norm = nullptr;
};

/// What a row gives to its window.
struct WindowShare {
  kernels::KeyBracket near;       // all values with these keys are found, and some others
  uint32_t* found = nullptr;      // [C + kernels::kFoundMargin] their magnitude bits
  uint32_t* histogram = nullptr;  // [magnitude bins] of keys
};

class RowMeasure {
 public:
  RowMeasure(int64_t channels, int64_t top_k);

  /// False, and `result` untouched, if a value is not finite. Places beyond the C-th of a top-k
  /// stay untouched.
  bool measure(std::span<const float> row, const RowResult& result, const WindowShare& share);

  /// Of the row measured last.
  int16_t smallest_key() const { return smallest_; }
  int16_t largest_key() const { return largest_; }
  /// How many values were found for the window.
  int64_t near_count() const { return near_count_; }

 private:
  void select_top(std::span<const float> row, int64_t found, const RowResult& result);

  int64_t top_k_;
  int16_t spread_;
  int16_t smallest_ = 0;
  int16_t largest_ = 0;
  int64_t near_count_ = 0;
  /// The median's key less the mean of the keys: of one layer's rows nearly the same, whatever
  /// their scale.
  float median_above_mean_ = 0;
  std::vector<int16_t> key_;           // [C]
  std::vector<uint32_t> near_median_;  // [C + margin] magnitude bits
  std::vector<uint32_t> at_top_;       // [C + margin] channels
  std::vector<uint64_t> top_;          // selection keys of the candidates for the top
};

}  // namespace actsweep
