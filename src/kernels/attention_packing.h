// How attention on a CPU lays out its operands: a head's queries and keys with channels outside,
// its values in panels of channels.
//
// Words are float32, or uint32_t of two bfloat16 that are moved as they are.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace actsweep::cpu {

/// The most lanes of a panel, and rows of a kernel's call.
inline constexpr int64_t kMostLanes = 32;

inline int64_t padded(int64_t count, int64_t lanes) { return (count + lanes - 1) / lanes * lanes; }

/// A head's part of consecutive rows: [count, width] at a row stride.
template <typename T>
struct HeadRows {
  T* first;
  int64_t stride;
  int64_t count;
  int64_t width;
};

/// out [width, lanes] = up to `lanes` rows transposed; lanes beyond the last row are 0.
void pack_transposed(const HeadRows<const float>& rows, int64_t lanes, float* out);
void pack_transposed(const HeadRows<const at::BFloat16>& rows, int64_t lanes, float* out);
void pack_transposed(const HeadRows<const at::Half>& rows, int64_t lanes, float* out);
void pack_transposed(const HeadRows<const uint32_t>& rows, int64_t lanes, uint32_t* out);

/// out: panels of `lanes` channels, each [count, lanes]; channels beyond the last are 0.
void pack_values(const HeadRows<const float>& rows, int64_t lanes, float* out);
void pack_values(const HeadRows<const at::BFloat16>& rows, int64_t lanes, float* out);
void pack_values(const HeadRows<const at::Half>& rows, int64_t lanes, float* out);
/// The same in words of two rows, the first in the lower half: each panel is [count / 2 rounded up,
/// lanes].
void pack_values(const HeadRows<const at::BFloat16>& rows, int64_t lanes, uint32_t* out);

/// Rounds `from` [count, width] at a row stride to the rows.
void place(const float* from, int64_t from_stride, const HeadRows<float>& rows);
void place(const float* from, int64_t from_stride, const HeadRows<at::BFloat16>& rows);
void place(const float* from, int64_t from_stride, const HeadRows<at::Half>& rows);

/// The rows as what a kernel's words are made of: elements that are widened, or pairs of them.
template <typename Word, typename T>
auto parts_of(const HeadRows<const T>& rows) {
  if constexpr (std::is_same_v<Word, float>) {
    return rows;
  } else {
    return HeadRows<const Word>{reinterpret_cast<const Word*>(rows.first), rows.stride / 2,
                                rows.count, rows.width / 2};
  }
}

/// out: panels of `lanes` positions, each [width in words, lanes].
template <typename T, typename Word>
void pack_keys(const HeadRows<const T>& rows, int64_t lanes, Word* out) {
  const auto parts = parts_of<Word>(rows);
  for (int64_t begin = 0; begin < parts.count; begin += lanes) {
    auto panel = parts;
    panel.first += begin * parts.stride;
    panel.count = std::min(lanes, parts.count - begin);
    pack_transposed(panel, lanes, out + begin * parts.width);
  }
}

}  // namespace actsweep::cpu
