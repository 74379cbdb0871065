// The inner kernel of attention on a CPU: a few queries of one head against its packed keys and
// values, with the softmax in one pass over blocks of keys (arXiv 2205.14135). Sums and the softmax
// are float32; products are of float32, or of pairs of bfloat16 where a machine has them.
//
// Includes nothing but integers: its sources are compiled for instruction sets that the machine may
// lack, and must not leave inline functions behind that others would link.
#pragma once

#include <cstdint>

namespace actsweep::cpu {

/// Keys in one block of scores.
inline constexpr int64_t kKeyBlock = 512;

/// In and out of one call. `rows`, `lanes` and `depths` are the kernel's own; panels are padded to
/// `lanes`. Operands are words of 32 bits: a float32, or for two depths a word two bfloat16, the
/// first in the lower half. T is rounded up to whole words with zeros; the width is even then.
struct HeadQueries {
  const void* query = nullptr;         // [width / depths, rows]
  const void* keys = nullptr;          // [panels of T][width / depths, lanes]
  const void* values = nullptr;        // [panels of width][T / depths, lanes]
  float* scores = nullptr;             // [rows, score_stride]: work space
  float* out = nullptr;                // [rows, panels of width * lanes]
  int64_t width = 0;                   // D
  int64_t positions = 0;               // T
  int64_t first = 0;                   // position of the first query; the others follow
  int64_t window = 0;                  // query i sees key j where i - window < j; 0: all
  bool is_causal = true;               // and where j <= i; else where j < i + window
  const int64_t* key_ends = nullptr;   // [last + 1] where keys end in place of j <= i, or null:
                                       // nowhere before an earlier query's
  int64_t last = 0;                    // position of the last query
  float scale = 1;                     // of products of queries and keys
  float cap = 0;                       // above 0: scores become cap * tanh(score / cap)
  const float* key_bias = nullptr;     // [T, padded to lanes], added to scores, or null
  const float* extra_key = nullptr;    // [width]: a key that every query sees, or null
  const float* extra_value = nullptr;  // [padded width]
  const float* sink = nullptr;         // a score without a value, or null
  /// [rows, 3] or null: of each query's softmax the largest score m, the sum of exp(s - m), and
  /// that of exp(s - m) (s - m).
  float* summary = nullptr;
};

/// What a second look at the scores of a call takes and gives, once their softmax is known.
struct SecondLook {
  int64_t queries = 0;                 // of the call's rows; those behind them are padding
  const float* log_sum_exp = nullptr;  // [queries]
  /// [T, padded to lanes] or null: takes what each key receives, exp(s - log_sum_exp) summed over
  /// the queries that see it but for the one at its own position.
  float* received = nullptr;
  float* largest = nullptr;        // [queries] or null: the largest score of each
  int32_t* largest_key = nullptr;  // [queries]: the first key that has it
};

struct AttentionKernel {
  int64_t rows;          // queries of one call
  int64_t lanes;         // columns of one panel
  int64_t score_stride;  // floats
  int64_t depths;        // channels or positions in one word of an operand
  void (*attend)(const HeadQueries& queries);
  /// Reads no values, and of the summary nothing.
  void (*look_again)(const HeadQueries& queries, const SecondLook& look);
};

extern const AttentionKernel kAttentionBaseline;
#ifdef __x86_64__
extern const AttentionKernel kAttentionV3;  // x86-64-v3: AVX2 and FMA
extern const AttentionKernel kAttentionV4;  // x86-64-v4: AVX-512
/// AVX-512 with AVX512_BF16, two depths a word: products of bfloat16 rows are exact, and
/// probabilities are rounded to bfloat16 before they weight values, as ATen's attention does.
extern const AttentionKernel kAttentionBfloat16;
#endif

}  // namespace actsweep::cpu
