// The tokens of a micro-batch that a selector matches.
//
// In: rows and their labels. Out: the rows that match, in rising order. Padding never matches.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "corpus/window.h"
#include "job/token_selector.h"

namespace actsweep {

struct TokenMatch {
  int64_t row = 0;
  int64_t sequence = 0;     // number among the sweep's windows
  int64_t position = 0;     // in its window
  uint8_t token_class = 0;  // of the token
  int64_t ordinal = 0;      // among the sequence's matches: a register's number
};

/// How many rows are looked at together, so that the work space stays small.
int64_t tile_rows(const at::Tensor& rows);

/// `rows` [labels.row_count(), C] float32 is read by kArgmax alone: the token with the largest
/// magnitude in `channels`, or in all where that is undefined; ties go to the earlier token, and a
/// token with a value that is not finite is never it.
std::vector<TokenMatch> match_tokens(const TokenSelector& selector, const OwnedRows& labels,
                                     const at::Tensor& rows, const at::Tensor& channels);

}  // namespace actsweep
