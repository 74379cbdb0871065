// How many tokens, sequences, rows, events and stored rows something of a sweep holds, and the
// table of them that a member's file of a segment has.
//
// The table tells which rows of the file belong to which micro-batch. Refuses (ErrorKind::kOutput)
// a table of another shape.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/h5.h"
#include "schema/declare.h"

namespace actsweep {

struct RowCounts {
  int64_t tokens = 0;
  int64_t sequences = 0;
  int64_t rows = 0;
  int64_t events = 0;
  int64_t stored = 0;  // rows of the store

  /// The length along a concatenated axis.
  int64_t& along(Axis axis);
  int64_t along(Axis axis) const { return const_cast<RowCounts*>(this)->along(axis); }
  RowCounts& operator+=(const RowCounts& more);
  bool operator==(const RowCounts& other) const = default;
};

RowCounts sum_of(std::span<const RowCounts> counts);

bool has_counts(const H5File& file);
void write_counts(const H5File& file, std::span<const RowCounts> of_microbatches);
std::vector<RowCounts> read_counts(const H5File& file);

}  // namespace actsweep
