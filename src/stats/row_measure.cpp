#include "stats/row_measure.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "stats/row_kernels.h"

namespace actsweep {

namespace {

constexpr int16_t kKeyOf1 = 0x3f80;

uint32_t magnitude_bits(float value) { return std::bit_cast<uint32_t>(value) & 0x7fffffffu; }

}  // namespace

RowMeasure::RowMeasure(int64_t channels, int64_t top_k)
    : top_k_(top_k), median_guess_(kKeyOf1), key_(channels), mark_(channels), found_(channels) {
  median_bits_.reserve(channels);
  top_.reserve(channels);
}

bool RowMeasure::measure(std::span<const float> row, const RowResult& result) {
  const kernels::KeyScan scan = kernels::scan_keys(row, key_.data());
  if (scan.largest >= kernels::kNonfiniteKey) return false;
  smallest_ = scan.smallest;
  largest_ = scan.largest;

  const int64_t rank = (static_cast<int64_t>(row.size()) - 1) / 2;
  const kernels::KeyRank middle = kernels::locate_rank(key_, rank, median_guess_);
  median_guess_ = middle.key;
  const int16_t bound = kernels::key_reached_by(scan, top_k_);
  const int64_t found = kernels::find_keys(key_, middle.key, bound, mark_.data(), found_.data());

  median_bits_.clear();
  top_.clear();
  for (const uint32_t channel : std::span(found_).first(found)) {
    const uint32_t bits = magnitude_bits(row[channel]);
    if (key_[channel] == middle.key) median_bits_.push_back(bits);
    // Falling magnitude, then rising channel, is the falling order of this number.
    if (key_[channel] >= bound) top_.push_back(static_cast<uint64_t>(bits) << 32 | ~channel);
  }
  const auto median = median_bits_.begin() + (rank - middle.below);
  std::nth_element(median_bits_.begin(), median, median_bits_.end());
  *result.median = std::bit_cast<float>(*median);
  *result.norm = static_cast<float>(std::sqrt(scan.sum_square));
  select_top(row, result);
  return true;
}

void RowMeasure::select_top(std::span<const float> row, const RowResult& result) {
  const auto count = std::min<int64_t>(top_k_, static_cast<int64_t>(top_.size()));
  std::partial_sort(top_.begin(), top_.begin() + count, top_.end(), std::greater<>());
  for (int64_t order = 0; order < count; ++order) {
    const uint32_t channel = ~static_cast<uint32_t>(top_[order]);
    result.top_channel[order] = channel;
    result.top_value[order] = row[channel];
  }
}

}  // namespace actsweep
