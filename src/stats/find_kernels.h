// Kernels that pick a few values out of a row: those near a median, those at the top.
//
// By compressing stores where the machine has them (AVX-512), else by marks; the same values in the
// same order.
#pragma once

#include <cstdint>
#include <span>

#include "stats/row_kernels.h"

namespace actsweep::kernels {

/// Room behind the last value found, which stores of whole vectors may write to.
inline constexpr int64_t kFoundMargin = 16;

/// A row with its keys, as scan_keys writes them.
struct KeyedRow {
  std::span<const float> values;
  std::span<const int16_t> key;
};

/// Writes the magnitude bits of the values whose key is in the bracket to `found`
/// [C + kFoundMargin], in their order; returns how many.
int64_t find_magnitudes(std::span<const float> values, const KeyBracket& bracket, uint32_t* found);
int64_t find_magnitudes(const KeyedRow& row, const KeyBracket& bracket, uint32_t* found);

/// Writes the channels whose key is at least `at_least` to `found` [C + kFoundMargin], in rising
/// order; returns how many.
int64_t find_channels(const KeyedRow& row, int16_t at_least, uint32_t* found);

/// The same on any machine.
namespace by_marks {
int64_t find_magnitudes(std::span<const float> values, const KeyBracket& bracket, uint32_t* found);
int64_t find_magnitudes(const KeyedRow& row, const KeyBracket& bracket, uint32_t* found);
int64_t find_channels(const KeyedRow& row, int16_t at_least, uint32_t* found);
}  // namespace by_marks

/// The bits of rank `rank` (0-based, rising) of magnitudes' bits, which it may reorder.
uint32_t select_rank(std::span<uint32_t> bits, int64_t rank);

}  // namespace actsweep::kernels
