// One thread's share of a kernel measurement: tiles of a window in, rows and partial sums out.
//
// In: windows of contiguous float32 rows on the host, tile by tile. Out: the rows of their tokens,
// and sums of all finite rows that this worker has seen since begin_batch. A window's exact median
// comes from a histogram of keys and the values of the one key that holds it. Those are collected
// with their neighbours while a tile is measured, by a guess from the tiles before; tiles whose
// guess was off are looked at again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "measure/measurement.h"
#include "measure/row_kernels.h"
#include "measure/row_measure.h"
#include "schema/declare.h"

namespace actsweep {

/// The rows of one window and where its results go.
struct WindowView {
  const float* rows = nullptr;           // [length, C]
  const uint8_t* group = nullptr;  // [length]
  int64_t length = 0;
  RowResult first;               // of the window's first token
  uint8_t* is_finite = nullptr;  // [length]
};

/// Tokens whose rows stay in the cache between the look at each row and the sums over rows.
inline constexpr int64_t kTileTokens = 64;

inline int64_t tile_count(const WindowView& window) {
  return (window.length + kTileTokens - 1) / kTileTokens;
}

/// Keys from `first` to before `end`; none at first.
struct KeyRange {
  int64_t first = kMagnitudeBins;
  int64_t end = 0;

  void widen(const KeyRange& other) {
    first = std::min(first, other.first);
    end = std::max(end, other.end);
  }
};

/// Magnitude bits that kernels append.
class MagnitudeList {
 public:
  int64_t size() const { return size_; }
  std::span<uint32_t> values() { return std::span(bits_).first(static_cast<size_t>(size_)); }
  std::span<const uint32_t> part(int64_t begin, int64_t end) const {
    return std::span(bits_).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  }
  /// Behind the last, for `count` more and what kernels write beyond.
  uint32_t* room_for(int64_t count);
  /// Keeps `count` of those written there.
  void keep(int64_t count) { size_ += count; }
  void clear() { size_ = 0; }

 private:
  std::vector<uint32_t> bits_;
  int64_t size_ = 0;
};

class KernelWorker {
 public:
  KernelWorker(int64_t channels, int64_t top_k);

  /// Forgets all sums, and makes room for those of `groups`.
  void begin_batch(int64_t groups);
  /// Measures every row of one tile of a window and adds the finite ones to the sums and the
  /// window's histogram.
  void measure_tile(const WindowView& window, int64_t tile);
  /// Gathers the magnitudes that have `key` in this worker's tiles of the window.
  void gather_at(const WindowView& window, int16_t key);
  /// Measures a whole window; returns its median magnitude, NaN without a finite row.
  float measure_window(const WindowView& window);

  /// Adds the window's histogram of `other` within [first, last) to this worker's and clears it
  /// there.
  void take_window_keys(KernelWorker& other, int64_t first, int64_t last);
  /// Adds how many keys `other` has counted in the window, and their range, to this worker's;
  /// forgets them there.
  void take_key_range(KernelWorker& other);
  /// The key of the window's lower median and the median's rank among the values that have it; adds
  /// the window's histogram to the batch's and clears it. A rank of -1 says that no row was finite.
  struct MedianPlace {
    int16_t key = 0;
    int64_t rank = -1;
  };
  MedianPlace finish_window_histogram();
  /// Moves the magnitudes that `other` has gathered to this worker.
  void take_gathered(KernelWorker& other);
  /// The lower median of the window, from its place and the magnitudes gathered; forgets them.
  float finish_window_median(const MedianPlace& place);

  // Sums since begin_batch.
  std::vector<int64_t> group_count;      // [groups]
  std::vector<double> group_sum;         // [groups, C]
  std::vector<double> group_sum_square;  // [groups, C]
  std::vector<double> sum_fourth;        // [C]
  std::vector<int32_t> max_bits;         // [C] bits of the largest magnitude
  std::vector<int32_t> count_above_6;    // [C]
  std::vector<int64_t> histogram;        // [magnitude bins]
  KeyRange keys;                         // outside of which the histogram is zero

 private:
  std::span<const float> row_of(const WindowView& window, int64_t token) const {
    return {window.rows + token * channels_, static_cast<size_t>(channels_)};
  }
  void add_tile_sums();
  MedianPlace find_median() const;
  void look_again(const WindowView& window, int64_t tile, const kernels::KeyBracket& wanted);

  /// A tile of the window: all its values with these keys are among these of near_.
  struct TileLook {
    int64_t tile;
    kernels::KeyBracket collected;
    int64_t begin;
    int64_t end;
  };

  int64_t channels_;
  int64_t top_k_;
  RowMeasure row_;
  std::vector<std::vector<const float*>> group_rows_;  // [groups] finite rows of the tile
  std::vector<uint32_t> window_histogram_;             // [magnitude bins]
  KeyRange window_keys_;
  int64_t key_count_ = 0;   // of the window
  int16_t median_key_ = 0;  // of the window's lower median, as far as is known
  std::vector<TileLook> looks_;
  MagnitudeList near_;       // values near the window's median
  MagnitudeList at_median_;  // those that have its key
};

}  // namespace actsweep
