#include "kernels/attention_packing.h"

#include "base/instruction_sets.h"
#include "kernels/cpu_rows.h"
#ifdef ACTSWEEP_X86
#include <immintrin.h>
#endif

namespace actsweep::cpu {
namespace {

using cpu::widen;
/// A word of two bfloat16, which is moved as it is.
ACTSWEEP_INLINE uint32_t widen(uint32_t word) { return word; }

/// out [width, lanes] = the rows transposed; lanes beyond the last row are 0. Widened by tiles, so
/// that what goes to far places is only moved.
template <typename T, typename Word>
ACTSWEEP_INLINE void transpose(const HeadRows<const T>& rows, int64_t lanes, Word* out) {
  constexpr int64_t kTile = 16;
  Word tile[kMostLanes][kTile] = {};
  for (int64_t begin = 0; begin < rows.width; begin += kTile) {
    const int64_t width = std::min(kTile, rows.width - begin);
    for (int64_t row = 0; row < rows.count; ++row) {
      const T* from = rows.first + row * rows.stride + begin;
      for (int64_t i = 0; i < width; ++i) tile[row][i] = widen(from[i]);
    }
    Word* to = out + begin * lanes;
    for (int64_t i = 0; i < width; ++i) {
      for (int64_t lane = 0; lane < lanes; ++lane) to[i * lanes + lane] = tile[lane][i];
    }
  }
}

/// out: panels of `lanes` channels, each [count, lanes]; channels beyond the last are 0.
template <typename T>
ACTSWEEP_INLINE void split_panels(const HeadRows<const T>& rows, int64_t lanes, float* out) {
  for (int64_t begin = 0; begin < rows.width; begin += lanes) {
    const int64_t width = std::min(lanes, rows.width - begin);
    for (int64_t row = 0; row < rows.count; ++row, out += lanes) {
      const T* from = rows.first + row * rows.stride + begin;
      for (int64_t i = 0; i < width; ++i) out[i] = widen(from[i]);
      for (int64_t i = width; i < lanes; ++i) out[i] = 0;
    }
  }
}

template <typename T>
ACTSWEEP_INLINE void place_rows(const float* from, int64_t from_stride, const HeadRows<T>& rows) {
  for (int64_t row = 0; row < rows.count; ++row) {
    for (int64_t i = 0; i < rows.width; ++i) {
      narrow(from[row * from_stride + i], rows.first[row * rows.stride + i]);
    }
  }
}

#ifdef ACTSWEEP_X86

constexpr int64_t kSquare = 16;
typedef int32_t Words __attribute__((vector_size(4 * kSquare)));

/// Exchanges the squares of `kStep` that stand beside the diagonal in each square of twice that.
template <int kStep>
ACTSWEEP_AVX512 inline void exchange_squares(Words* row) {
  constexpr Words kColumn = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Words is_right = (kColumn & kStep) != 0;
  const Words upper = is_right ? kColumn - kStep + kSquare : kColumn;
  const Words lower = is_right ? kColumn + kSquare : kColumn + kStep;
#pragma GCC unroll 16
  for (int i = 0; i < kSquare; ++i) {
    if (i & kStep) continue;
    const Words above = row[i], below = row[i + kStep];
    row[i] = __builtin_shuffle(above, below, upper);
    row[i + kStep] = __builtin_shuffle(above, below, lower);
  }
}

ACTSWEEP_AVX512 inline __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>((1u << std::clamp<int64_t>(count, 0, kSquare)) - 1);
}

/// As `transpose`, of 32-bit words, square by square.
ACTSWEEP_AVX512 void transpose_words(const HeadRows<const uint32_t>& rows, int64_t lanes,
                                     uint32_t* out) {
  for (int64_t lane = 0; lane < lanes; lane += kSquare) {
    const uint32_t* from = rows.first + lane * rows.stride;
    const __mmask16 written = first_lanes(lanes - lane);
    for (int64_t begin = 0; begin < rows.width; begin += kSquare) {
      const int64_t width = std::min(kSquare, rows.width - begin);
      const __mmask16 read = first_lanes(width);
      Words square[kSquare];
#pragma GCC unroll 16
      for (int i = 0; i < kSquare; ++i) {
        const bool is_row = lane + i < rows.count;
        square[i] = is_row ? (Words)_mm512_maskz_loadu_epi32(read, from + i * rows.stride + begin)
                           : Words{};
      }
      exchange_squares<8>(square);
      exchange_squares<4>(square);
      exchange_squares<2>(square);
      exchange_squares<1>(square);
      uint32_t* to = out + begin * lanes + lane;
#pragma GCC unroll 16
      for (int i = 0; i < kSquare; ++i) {
        if (i < width) _mm512_mask_storeu_epi32(to + i * lanes, written, (__m512i)square[i]);
      }
    }
  }
}

#endif

ACTSWEEP_CLONES void transpose_anywhere(const HeadRows<const uint32_t>& rows, int64_t lanes,
                                        uint32_t* out) {
  transpose(rows, lanes, out);
}

}  // namespace

void pack_transposed(const HeadRows<const uint32_t>& rows, int64_t lanes, uint32_t* out) {
#ifdef ACTSWEEP_X86
  if (has_avx512()) return transpose_words(rows, lanes, out);
#endif
  transpose_anywhere(rows, lanes, out);
}

void pack_transposed(const HeadRows<const float>& rows, int64_t lanes, float* out) {
  pack_transposed(
      {reinterpret_cast<const uint32_t*>(rows.first), rows.stride, rows.count, rows.width}, lanes,
      reinterpret_cast<uint32_t*>(out));
}

ACTSWEEP_CLONES void pack_transposed(const HeadRows<const at::BFloat16>& rows, int64_t lanes,
                                     float* out) {
  transpose(rows, lanes, out);
}

ACTSWEEP_CLONES void pack_transposed(const HeadRows<const at::Half>& rows, int64_t lanes,
                                     float* out) {
  transpose(rows, lanes, out);
}

ACTSWEEP_CLONES void pack_values(const HeadRows<const at::BFloat16>& rows, int64_t lanes,
                                 uint32_t* out) {
  for (int64_t begin = 0; begin < rows.width; begin += lanes) {
    const int64_t width = std::min(lanes, rows.width - begin);
    for (int64_t row = 0; row < rows.count; row += 2, out += lanes) {
      const auto* low = rows.first + row * rows.stride + begin;
      const bool is_last = row + 1 == rows.count;
      const auto* high = is_last ? low : low + rows.stride;
      const uint32_t kept = is_last ? 0 : 0xffff0000u;
      for (int64_t i = 0; i < width; ++i) {
        out[i] = low[i].x | (static_cast<uint32_t>(high[i].x) << 16 & kept);
      }
      for (int64_t i = width; i < lanes; ++i) out[i] = 0;
    }
  }
}

#define ACTSWEEP_FOR_TYPE(T)                                                                    \
  ACTSWEEP_CLONES void pack_values(const HeadRows<const T>& rows, int64_t lanes, float* out) {  \
    split_panels(rows, lanes, out);                                                             \
  }                                                                                             \
  ACTSWEEP_CLONES void place(const float* from, int64_t from_stride, const HeadRows<T>& rows) { \
    place_rows(from, from_stride, rows);                                                        \
  }
ACTSWEEP_FOR_TYPE(float)
ACTSWEEP_FOR_TYPE(at::BFloat16)
ACTSWEEP_FOR_TYPE(at::Half)
#undef ACTSWEEP_FOR_TYPE

}  // namespace actsweep::cpu
