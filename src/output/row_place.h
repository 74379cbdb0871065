// Where the rows of a segment's file lie in the sweep.
//
// Where a chunk of the sweep file lies in a file whole, the file's rows are cut as the sweep
// file's, so that consolidation can copy the chunk as it is. Where its first row is inside a chunk,
// rows of padding without values come first in the file's dataset; its attribute "padding" counts
// them.
#pragma once

#include "output/row_counts.h"

namespace actsweep {

struct RowPlace {
  RowCounts before = {};  // rows of the sweep before the file's first one
  RowCounts whole = {};   // of the sweep; 0 where it is not known
};

/// The padding of an open dataset of a file; other files' have none.
int64_t padding_of(const H5Dataset& dataset);
void write_padding(const H5Dataset& dataset, int64_t rows);

}  // namespace actsweep
