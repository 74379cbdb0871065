// Where a measurement adds up what it measures: places in one layer of the fields of statistics.
//
// In: memory of the device that measures, which the statistics own and zero. Sums and counts are
// added to what is there, the largest magnitude is raised. A slot that nobody hands over is null,
// and left out. Mentions no tensor: CUDA kernels take it as it is.
#pragma once

#include <cstdint>

namespace actsweep {

struct Slots {
  int64_t* count = nullptr;                  // [1] tokens that are finite
  int64_t* nonfinite_tokens = nullptr;       // [1] the others
  double* channel_sum = nullptr;             // [C] of the finite tokens, as all below
  double* channel_sum_square = nullptr;      // [C]
  double* channel_sum_fourth = nullptr;      // [C]
  float* channel_max_magnitude = nullptr;    // [C]
  int64_t* channel_count_above_6 = nullptr;  // [C]
  int64_t* class_count = nullptr;            // [classes]
  double* class_sum = nullptr;               // [classes, C]
  double* class_sum_square = nullptr;        // [classes, C]
  int64_t* magnitude_histogram = nullptr;    // [magnitude bins]
  int64_t* role_count = nullptr;             // [roles, classes]
  double* role_sum = nullptr;                // [roles, classes, C]
  double* role_sum_square = nullptr;         // [roles, classes, C]

  /// Whether sums are kept by role, too.
  bool by_role() const { return role_sum != nullptr; }
};

}  // namespace actsweep
