#include "measure/kernel_worker.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "measure/find_kernels.h"

namespace actsweep {

namespace {

constexpr int32_t kNearKeys = 8;             // on both sides of a guess at a window's median
constexpr int64_t kMostCollected = 1 << 19;  // values of one window

kernels::KeyBracket keys_near(int16_t key) {
  constexpr int32_t kLast = kernels::kNonfiniteKey - 1;
  return {static_cast<int16_t>(std::max(key - kNearKeys - 1, -1)),
          static_cast<int16_t>(std::min(key + kNearKeys, kLast))};
}

constexpr kernels::KeyBracket kNoKeys = {0, 0};

bool holds(const kernels::KeyBracket& bracket, int16_t key) {
  return bracket.low < key && key <= bracket.high;
}

}  // namespace

uint32_t* MagnitudeList::room_for(int64_t count) {
  const auto needed = static_cast<size_t>(size_ + count + kernels::kFoundMargin);
  if (bits_.size() < needed) bits_.resize(2 * needed);
  return bits_.data() + size_;
}

KernelWorker::KernelWorker(int64_t channels, int64_t top_k)
    : sum_fourth(channels),
      max_bits(channels),
      count_above_6(channels),
      histogram(kMagnitudeBins),
      channels_(channels),
      top_k_(top_k),
      row_(channels, top_k),
      window_histogram_(kMagnitudeBins) {}

void KernelWorker::begin_batch(int64_t groups) {
  group_rows_.resize(groups);
  group_count.assign(groups, 0);
  group_sum.assign(groups * channels_, 0.0);
  group_sum_square.assign(groups * channels_, 0.0);
  std::fill(sum_fourth.begin(), sum_fourth.end(), 0.0);
  std::fill(max_bits.begin(), max_bits.end(), 0);
  std::fill(count_above_6.begin(), count_above_6.end(), 0);
  if (keys.end > 0) std::fill(histogram.begin() + keys.first, histogram.begin() + keys.end, 0);
  keys = {};
}

void KernelWorker::measure_tile(const WindowView& window, int64_t tile) {
  for (auto& rows : group_rows_) rows.clear();
  const int64_t begin = tile * kTileTokens;
  const int64_t end = std::min(begin + kTileTokens, window.length);
  const bool collects = near_.size() <= kMostCollected;
  TileLook look = {tile, collects ? keys_near(median_key_) : kNoKeys, near_.size(), near_.size()};
  for (int64_t token = begin; token < end; ++token) {
    const auto row = row_of(window, token);
    const RowResult result = {window.first.top_value + token * top_k_,
                              window.first.top_channel + token * top_k_,
                              window.first.median + token, window.first.norm + token};
    window.is_finite[token] = row_.measure(
        row, result, {look.collected, near_.room_for(channels_), window_histogram_.data()});
    if (!window.is_finite[token]) continue;
    if (collects) near_.keep(row_.near_count());
    key_count_ += channels_;
    window_keys_.widen({row_.smallest_key(), row_.largest_key() + 1});
    group_rows_[window.group[token]].push_back(row.data());
  }
  look.end = near_.size();
  looks_.push_back(look);
  if (key_count_ > 0) median_key_ = find_median().key;
  add_tile_sums();
}

/// Sums by group serve the sums over all tokens too, which are theirs added up.
void KernelWorker::add_tile_sums() {
  for (size_t group = 0; group < group_rows_.size(); ++group) {
    const auto& rows = group_rows_[group];
    group_count[group] += static_cast<int64_t>(rows.size());
    const kernels::MomentSums sums = {group_sum.data() + group * channels_,
                                      group_sum_square.data() + group * channels_,
                                      sum_fourth.data(), max_bits.data(), count_above_6.data()};
    kernels::add_moments(rows, channels_, sums);
  }
}

void KernelWorker::look_again(const WindowView& window, int64_t tile,
                              const kernels::KeyBracket& wanted) {
  const int64_t begin = tile * kTileTokens;
  const int64_t end = std::min(begin + kTileTokens, window.length);
  for (int64_t token = begin; token < end; ++token) {
    if (!window.is_finite[token]) continue;
    at_median_.keep(
        kernels::find_magnitudes(row_of(window, token), wanted, at_median_.room_for(channels_)));
  }
}

void KernelWorker::gather_at(const WindowView& window, int16_t key) {
  const kernels::KeyBracket wanted = {static_cast<int16_t>(key - 1), key};
  for (const auto& [tile, collected, begin, end] : looks_) {
    if (holds(collected, key)) {
      at_median_.keep(kernels::find_magnitudes(near_.part(begin, end), wanted,
                                               at_median_.room_for(end - begin)));
    } else {
      look_again(window, tile, wanted);
    }
  }
  looks_.clear();
  near_.clear();
}

float KernelWorker::measure_window(const WindowView& window) {
  for (int64_t tile = 0; tile < tile_count(window); ++tile) measure_tile(window, tile);
  const MedianPlace place = finish_window_histogram();
  gather_at(window, place.key);
  return finish_window_median(place);
}

void KernelWorker::take_window_keys(KernelWorker& other, int64_t first, int64_t last) {
  for (int64_t key = first; key < last; ++key) {
    window_histogram_[key] += other.window_histogram_[key];
    other.window_histogram_[key] = 0;
  }
}

void KernelWorker::take_key_range(KernelWorker& other) {
  window_keys_.widen(std::exchange(other.window_keys_, {}));
  key_count_ += std::exchange(other.key_count_, 0);
}

/// From the last known place: the keys below it are counted by a vector loop.
KernelWorker::MedianPlace KernelWorker::find_median() const {
  const int64_t rank = (key_count_ - 1) / 2;
  int64_t key = std::clamp<int64_t>(median_key_, window_keys_.first, window_keys_.end - 1);
  int64_t below = kernels::add_up(
      std::span(window_histogram_)
          .subspan(window_keys_.first, static_cast<size_t>(key - window_keys_.first)));
  while (below > rank) below -= window_histogram_[--key];
  while (below + window_histogram_[key] <= rank) below += window_histogram_[key++];
  return {static_cast<int16_t>(key), rank - below};
}

KernelWorker::MedianPlace KernelWorker::finish_window_histogram() {
  if (key_count_ == 0) return {};
  const MedianPlace place = find_median();
  median_key_ = place.key;
  for (int64_t key = window_keys_.first; key < window_keys_.end; ++key) {
    histogram[key] += window_histogram_[key];
    window_histogram_[key] = 0;
  }
  keys.widen(std::exchange(window_keys_, {}));
  key_count_ = 0;
  return place;
}

void KernelWorker::take_gathered(KernelWorker& other) {
  const auto values = other.at_median_.values();
  std::copy(values.begin(), values.end(), at_median_.room_for(other.at_median_.size()));
  at_median_.keep(other.at_median_.size());
  other.at_median_.clear();
}

float KernelWorker::finish_window_median(const MedianPlace& place) {
  if (place.rank < 0) return std::numeric_limits<float>::quiet_NaN();
  const auto values = at_median_.values();
  const auto median = values.begin() + place.rank;
  std::nth_element(values.begin(), median, values.end());
  at_median_.clear();
  return std::bit_cast<float>(*median);
}

}  // namespace actsweep
