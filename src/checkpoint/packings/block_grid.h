// Scales in a grid: one for each block of rows and columns.
//
// In: the sizes of a block. Out: the shapes that scales may have, and a packed weight that is
// scaled by them. Refuses nothing.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/module_tensors.h"
#include "checkpoint/packed_weight.h"

namespace actsweep {

struct BlockGrid {
  int64_t rows = 0, columns = 0;  // of a block; 0: all of the matrix

  /// "blocks of 128 x 128", "one scale a row", "groups of 128", "one scale a matrix"
  std::string text() const;
  /// One for all may lack axes; one for each row may lack the second.
  std::vector<std::vector<int64_t>> shapes(const WantedMatrix& wanted) const;
  void scale(PackedWeight& packed, const StoredTensor& scales) const;
  int64_t groups(int64_t all_columns) const;
};

/// The numbers of F8_E4M3 and F8_E5M2.
Numbers float8_numbers(const std::string& type);
/// Types of scales that are numbers.
const std::vector<std::string>& scale_types();

}  // namespace actsweep
