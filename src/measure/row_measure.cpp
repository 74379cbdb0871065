#include "measure/row_measure.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

#include "measure/find_kernels.h"
#include "measure/row_kernels.h"

namespace actsweep {

namespace {

constexpr float kPace = 0.125f;  // at which the guess follows the rows

/// How far a guess at the key of a median may be off: it falls as the median's own spread.
int16_t spread_of(int64_t channels) {
  constexpr double kOfOneValue = 150;  // measured on SmolLM2's rows
  return static_cast<int16_t>(1 + std::lround(kOfOneValue / std::sqrt(channels)));
}

}  // namespace

RowMeasure::RowMeasure(int64_t channels, int64_t top_k)
    : top_k_(top_k),
      spread_(spread_of(channels)),
      key_(channels),
      near_median_(channels + kernels::kFoundMargin),
      at_top_(channels + kernels::kFoundMargin) {
  top_.reserve(channels);
}

bool RowMeasure::measure(std::span<const float> row, const RowResult& result,
                         const WindowShare& share) {
  const kernels::KeyScan scan = kernels::scan_keys(row, key_.data());
  if (scan.largest >= kernels::kNonfiniteKey) return false;
  smallest_ = scan.smallest;
  largest_ = scan.largest;

  const int64_t rank = (static_cast<int64_t>(row.size()) - 1) / 2;
  const auto mean = static_cast<float>(scan.sum) / static_cast<float>(row.size());
  const auto guess = static_cast<int16_t>(
      std::clamp(mean + median_above_mean_, 0.0f, static_cast<float>(largest_)));
  const kernels::KeyBracket middle = kernels::bracket_rank(key_, rank, guess, spread_);
  const kernels::FoundCounts found = kernels::search_row(
      {row, key_}, {{middle, share.near}, kernels::key_reached_by(scan, top_k_)},
      {share.found, at_top_.data(), share.histogram});
  near_count_ = found.near;
  const int64_t count = kernels::find_magnitudes(
      std::span<const uint32_t>(share.found, static_cast<size_t>(found.near)), middle,
      near_median_.data());
  const uint32_t median =
      kernels::select_rank(std::span(near_median_).first(count), rank - middle.below);
  median_above_mean_ += kPace * (static_cast<float>(median >> 16) - mean - median_above_mean_);
  *result.median = std::bit_cast<float>(median);
  *result.norm = static_cast<float>(std::sqrt(scan.sum_square));
  select_top(row, found.top, result);
  return true;
}

/// The largest of the channels found at the top.
void RowMeasure::select_top(std::span<const float> row, int64_t found, const RowResult& result) {
  top_.clear();
  for (const uint32_t channel : std::span(at_top_).first(found)) {
    // Falling magnitude, then rising channel, is the falling order of this number.
    top_.push_back(static_cast<uint64_t>(kernels::magnitude_bits(row[channel])) << 32 | ~channel);
  }
  const auto count = std::min<int64_t>(top_k_, static_cast<int64_t>(top_.size()));
  std::partial_sort(top_.begin(), top_.begin() + count, top_.end(), std::greater<>());
  for (int64_t order = 0; order < count; ++order) {
    const uint32_t channel = ~static_cast<uint32_t>(top_[order]);
    result.top_channel[order] = channel;
    result.top_value[order] = row[channel];
  }
}

}  // namespace actsweep
