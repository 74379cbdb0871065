#include "stats/kernel_worker.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "stats/find_kernels.h"

namespace actsweep {

KernelWorker::KernelWorker(int64_t channels, int64_t top_k)
    : class_sum(kClasses * channels),
      class_sum_square(kClasses * channels),
      sum_fourth(channels),
      max_bits(channels),
      count_above_6(channels),
      histogram(kMagnitudeBins),
      channels_(channels),
      top_k_(top_k),
      row_(channels, top_k),
      window_histogram_(kMagnitudeBins) {
  for (auto& rows : class_rows_) rows.reserve(kTileTokens);
}

void KernelWorker::begin_batch() {
  nonfinite_tokens = 0;
  std::fill(std::begin(class_count), std::end(class_count), 0);
  std::fill(class_sum.begin(), class_sum.end(), 0.0);
  std::fill(class_sum_square.begin(), class_sum_square.end(), 0.0);
  std::fill(sum_fourth.begin(), sum_fourth.end(), 0.0);
  std::fill(max_bits.begin(), max_bits.end(), 0);
  std::fill(count_above_6.begin(), count_above_6.end(), 0);
  std::fill(histogram.begin(), histogram.end(), 0);
}

void KernelWorker::measure_tile(const WindowView& window, int64_t tile) {
  for (auto& rows : class_rows_) rows.clear();
  const int64_t begin = tile * kTileTokens;
  const int64_t end = std::min(begin + kTileTokens, window.length);
  for (int64_t token = begin; token < end; ++token) {
    const auto row = row_of(window, token);
    const RowResult result = {window.first.top_value + token * top_k_,
                              window.first.top_channel + token * top_k_,
                              window.first.median + token, window.first.norm + token};
    window.is_finite[token] = row_.measure(row, result);
    if (!window.is_finite[token]) {
      ++nonfinite_tokens;
      continue;
    }
    kernels::count_keys(row_.keys(), window_histogram_.data());
    first_key_ = std::min<int64_t>(first_key_, row_.smallest_key());
    end_key_ = std::max<int64_t>(end_key_, row_.largest_key() + 1);
    class_rows_[window.token_class[token]].push_back(row.data());
  }
  add_tile_sums();
}

/// Sums by class serve the sums over all tokens too, which are theirs added up.
void KernelWorker::add_tile_sums() {
  for (int64_t c = 0; c < kClasses; ++c) {
    class_count[c] += static_cast<int64_t>(class_rows_[c].size());
    const kernels::MomentSums sums = {class_sum.data() + c * channels_,
                                      class_sum_square.data() + c * channels_, sum_fourth.data(),
                                      max_bits.data(), count_above_6.data()};
    kernels::add_moments(class_rows_[c], channels_, sums);
  }
}

void KernelWorker::find_magnitudes(const WindowView& window, int64_t tile, int16_t key) {
  const kernels::KeyBracket of_key = {static_cast<int16_t>(key - 1), key};
  const int64_t begin = tile * kTileTokens;
  const int64_t end = std::min(begin + kTileTokens, window.length);
  for (int64_t token = begin; token < end; ++token) {
    if (!window.is_finite[token]) continue;
    const int64_t room = channels_ + kernels::kFoundMargin;
    if (static_cast<int64_t>(found_.size()) < found_count_ + room) {
      found_.resize(2 * found_.size() + room);
    }
    found_count_ +=
        kernels::find_magnitudes(row_of(window, token), of_key, found_.data() + found_count_);
  }
}

float KernelWorker::measure_window(const WindowView& window) {
  for (int64_t tile = 0; tile < tile_count(window); ++tile) measure_tile(window, tile);
  const MedianPlace place = finish_window_histogram();
  for (int64_t tile = 0; tile < tile_count(window); ++tile) {
    find_magnitudes(window, tile, place.key);
  }
  return finish_window_median(place);
}

void KernelWorker::take_window_keys(KernelWorker& other, int64_t first, int64_t last) {
  for (int64_t key = first; key < last; ++key) {
    window_histogram_[key] += other.window_histogram_[key];
    other.window_histogram_[key] = 0;
  }
}

void KernelWorker::take_key_range(KernelWorker& other) {
  first_key_ = std::min(first_key_, other.first_key_);
  end_key_ = std::max(end_key_, other.end_key_);
  other.first_key_ = kMagnitudeBins;
  other.end_key_ = 0;
}

KernelWorker::MedianPlace KernelWorker::finish_window_histogram() {
  int64_t total = 0;
  for (int64_t key = first_key_; key < end_key_; ++key) total += window_histogram_[key];
  const int64_t rank = (total - 1) / 2;
  MedianPlace place;
  int64_t below = 0;
  for (int64_t key = first_key_; key < end_key_; ++key) {
    const int64_t count = window_histogram_[key];
    if (below <= rank && rank < below + count) place = {static_cast<int16_t>(key), rank - below};
    below += count;
    histogram[key] += count;
    window_histogram_[key] = 0;
  }
  first_key_ = kMagnitudeBins;
  end_key_ = 0;
  return place;
}

void KernelWorker::take_found(KernelWorker& other) {
  found_.resize(found_count_);
  found_.insert(found_.end(), other.found_.begin(), other.found_.begin() + other.found_count_);
  found_count_ += other.found_count_;
  other.found_count_ = 0;
}

float KernelWorker::finish_window_median(const MedianPlace& place) {
  if (place.rank < 0) return std::numeric_limits<float>::quiet_NaN();
  const auto median = found_.begin() + place.rank;
  std::nth_element(found_.begin(), median, found_.begin() + found_count_);
  found_count_ = 0;
  return std::bit_cast<float>(*median);
}

}  // namespace actsweep
