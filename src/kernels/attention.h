// Self-attention over a rank's heads, without any T x T tensor.
//
// In: the fused projection's rows after rotary. Out: the heads' outputs as rows. A window W lets
// query i see key j where i - W < j <= i; without a causal mask, where |i - j| < W. A causal mask
// may reach ahead, to the end of a run of tokens that see each other. Padding stands on the right:
// under a causal mask no real row sees it, without one the sequences' lengths hide it.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "weights/share.h"

namespace actsweep {

struct AttentionShape {
  int64_t positions = 0;  // T; the rows hold whole sequences
  int64_t query_heads = 0;
  int64_t key_heads = 0;
  int64_t width = 0;      // D
  int64_t window = 0;     // 0: none
  bool is_causal = true;  // else a query sees keys behind it, too
  int64_t chunk = 0;      // above 0: a query sees keys of its own run of so many positions alone

  /// Whether no key before a query is hidden from it.
  bool sees_all_before() const { return window == 0 && chunk == 0; }
};

/// How scores become probabilities: s = cap * tanh(scale * q.k / cap) + key_bias, then a softmax in
/// which each head's sink and extra key take part.
struct ScoreFacts {
  double scale = 1;
  double cap = 0;               // 0: none
  at::Tensor key_bias = {};     // [query heads, positions] float32, or undefined
  at::Tensor extra_key = {};    // [query heads, D] float32, or undefined: one more key that every
  at::Tensor extra_value = {};  // query sees, and its value
  at::Tensor sinks = {};        // [query heads] float32, or undefined
};

/// The query and key heads of one call.
struct AttentionCall {
  AttentionShape shape;
  ScoreFacts scores;
  std::vector<HeadRun> runs;           // query heads with an equal share of key/value heads
  std::vector<int64_t> lengths = {};   // [sequences] without a causal mask: of each, its padding
                                       // left out, whose rows become 0; empty: all T
  std::vector<int64_t> key_ends = {};  // [n] under a causal mask: where the keys end that each
                                       // query sees of its sequence, nowhere before an earlier
                                       // query's; empty: behind the query itself
};

/// What is left of the probabilities of each query and head, over all slots that it sees: keys, the
/// sink and the extra key.
struct AttentionSummary {
  at::Tensor log_sum_exp;  // [n, query_heads] float32
  at::Tensor entropy;      // [n, query_heads] float32, nats
};

/// qkv [n, (query_heads + 2 key_heads) D] -> out [n, query_heads D], and the summary where it is
/// asked for.
void attend(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out,
            AttentionSummary* summary = nullptr);

/// The same on a CPU, by a kernel of choice: sums and the softmax are float32 whatever the dtype of
/// the rows.
namespace cpu {
struct AttentionKernel;
/// Those that this machine can run on heads of D = `width` channels, the fastest first.
std::vector<const AttentionKernel*> attention_kernels(at::ScalarType dtype, int64_t width);
void attend(const at::Tensor& qkv, const AttentionCall& call, const AttentionKernel& kernel,
            at::Tensor& out, AttentionSummary* summary = nullptr);
}  // namespace cpu

/// The same by ATen's device-independent operators: what runs on a GPU.
namespace aten {
void attend(const at::Tensor& qkv, const AttentionCall& call, at::Tensor& out,
            AttentionSummary* summary = nullptr);

/// The kernel that ATen takes for a layer of this shape: "flash", "memory-efficient", "cuDNN", or
/// "math", which holds T x T scores of all heads.
std::string fused_backend(const AttentionShape& shape, at::ScalarType dtype, at::Device device);
}  // namespace aten

}  // namespace actsweep
