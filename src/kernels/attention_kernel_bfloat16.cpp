#include <immintrin.h>

#include <cstdint>

namespace actsweep::cpu {
namespace {
constexpr int kVectorBytes = 64;
constexpr int kRows = 12;
}  // namespace
}  // namespace actsweep::cpu

#include "kernels/attention_kernel.inc"

namespace actsweep::cpu {
namespace {

/// Operands of two bfloat16 a word.
struct Bfloat16Words {
  typedef Integers Words;
  static constexpr int64_t kDepths = 2;

  static Words load(const void* words) { return *static_cast<const Integers*>(words); }
  static Words broadcast(const void* words, int64_t at) {
    return Words{} + static_cast<const int32_t*>(words)[at];
  }
  static Vector add_products(Vector sum, Words x, Words y) {
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
  }
  static float element(const void* words, int64_t columns, int64_t depth, int64_t column) {
    const auto word = static_cast<const uint32_t*>(words)[depth / 2 * columns + column];
    const uint32_t bits = depth % 2 == 0 ? word << 16 : word & 0xffff0000u;
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
  }
  /// In place: a word lies before what it is made of, or there.
  static void pack(float* row, int64_t count) {
    for (int64_t i = 0; i < count; i += 2 * kVector) {
      const __m512bh words =
          _mm512_cvtne2ps_pbh((__m512)cpu::load(row + i + kVector), (__m512)cpu::load(row + i));
      *reinterpret_cast<Integers*>(row + i / 2) = (Integers)words;
    }
  }
};

}  // namespace

const AttentionKernel kAttentionBfloat16 = {kRows, kLanes, kScoreStride, Bfloat16Words::kDepths,
                                            attend<Bfloat16Words>, look_again<Bfloat16Words>};

}  // namespace actsweep::cpu
