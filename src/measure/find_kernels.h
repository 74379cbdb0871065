// Kernels that pick a few values out of a row: those near a median, those at the top.
//
// By compressing stores where the machine has them (AVX-512), else by marks; the same values in the
// same order.
#pragma once

#include <cstdint>
#include <span>

#include "measure/row_kernels.h"

namespace actsweep::kernels {

/// Room behind the last value found, which stores of whole vectors may write to.
inline constexpr int64_t kFoundMargin = 16;

/// A row with its keys, as scan_keys writes them.
struct KeyedRow {
  std::span<const float> values;
  std::span<const int16_t> key;
};

/// What is looked for in a row.
struct RowSearch {
  KeyBracket near[2];  // magnitude bits of values whose key is in one of them
  int16_t top = 0;     // channels whose key is at least this
};

/// Where it goes, in the order of the channels, [C + kFoundMargin] each; and a histogram of keys,
/// which is bound by its stores and so costs less beside the search.
struct RowFinds {
  uint32_t* near = nullptr;
  uint32_t* top = nullptr;
  uint32_t* histogram = nullptr;  // [magnitude bins]; each key adds one
};

/// How much was found.
struct FoundCounts {
  int64_t near = 0;
  int64_t top = 0;
};

/// Looks once at a row and its keys, and has the row behind it fetched.
FoundCounts search_row(const KeyedRow& row, const RowSearch& search, const RowFinds& finds);

/// Writes the magnitude bits of the values whose key is in the bracket to `found`
/// [C + kFoundMargin], in their order; returns how many.
int64_t find_magnitudes(std::span<const float> values, const KeyBracket& bracket, uint32_t* found);
/// The same of magnitude bits.
int64_t find_magnitudes(std::span<const uint32_t> bits, const KeyBracket& bracket, uint32_t* found);

/// The same on any machine.
namespace by_marks {
FoundCounts search_row(const KeyedRow& row, const RowSearch& search, const RowFinds& finds);
int64_t find_magnitudes(std::span<const float> values, const KeyBracket& bracket, uint32_t* found);
int64_t find_magnitudes(std::span<const uint32_t> bits, const KeyBracket& bracket, uint32_t* found);
}  // namespace by_marks

/// The bits of rank `rank` (0-based, rising) of magnitudes' bits, which it may reorder.
uint32_t select_rank(std::span<uint32_t> bits, int64_t rank);

}  // namespace actsweep::kernels
