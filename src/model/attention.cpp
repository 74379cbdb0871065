#include "model/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace actsweep {
namespace {

struct Heads {
  at::Tensor query;  // [B, queries, T, D]
  at::Tensor key;    // [B, keys, T, D]
  at::Tensor value;
  at::Tensor out;  // [B, queries, T, D]
};

/// The heads of one run as views into the rows.
Heads heads_of(const at::Tensor& qkv, const AttentionShape& shape, const HeadRun& run,
               at::Tensor& out) {
  const auto view = [&](const at::Tensor& rows, int64_t first, int64_t heads) {
    return rows.view({-1, shape.positions, rows.size(1) / shape.width, shape.width})
        .narrow(2, first, heads)
        .transpose(1, 2);
  };
  const int64_t key_begin = shape.query_heads + run.key_begin;
  return {view(qkv, run.query_begin, run.queries), view(qkv, key_begin, run.keys),
          view(qkv, key_begin + shape.key_heads, run.keys),
          view(out, run.query_begin, run.queries)};
}

/// Calls `one(query, key, value, bias)` for chunks of W queries against the at most 2 W - 1 keys
/// that they see; `bias` [queries, keys] is 0 where a key is visible and -inf elsewhere.
template <typename One>
void in_windows(const Heads& heads, int64_t window, const One& one) {
  const int64_t positions = heads.query.size(2);
  at::Tensor bias;
  for (int64_t begin = 0; begin < positions; begin += window) {
    const int64_t end = std::min(begin + window, positions);
    const int64_t first_key = std::max<int64_t>(0, begin - window + 1);
    const auto queries =
        at::arange(begin, end, heads.query.options().dtype(at::kLong)).unsqueeze(1);
    const auto keys = at::arange(first_key, end, queries.options()).unsqueeze(0);
    const auto hidden = keys.gt(queries).logical_or_(keys.le(queries - window));
    bias = at::zeros({end - begin, end - first_key}, heads.query.options())
               .masked_fill_(hidden, -std::numeric_limits<float>::infinity());
    heads.out.narrow(2, begin, end - begin)
        .copy_(one(heads.query.narrow(2, begin, end - begin),
                   heads.key.narrow(2, first_key, end - first_key),
                   heads.value.narrow(2, first_key, end - first_key), bias));
  }
}

template <typename Causal, typename Biased>
void over_runs(const at::Tensor& qkv, const AttentionShape& shape, const std::vector<HeadRun>& runs,
               at::Tensor& out, const Causal& causal, const Biased& biased) {
  const bool is_windowed = shape.window > 0 && shape.window < shape.positions;
  for (const auto& run : runs) {
    const auto heads = heads_of(qkv, shape, run, out);
    if (is_windowed) {
      in_windows(heads, shape.window, biased);
    } else {
      heads.out.copy_(causal(heads.query, heads.key, heads.value));
    }
  }
}

}  // namespace

void attend(const at::Tensor& qkv, const AttentionShape& shape, const std::vector<HeadRun>& runs,
            at::Tensor& out) {
  if (!qkv.is_cpu()) return aten::attend(qkv, shape, runs, out);
  cpu::attend(qkv, shape, runs, *cpu::attention_kernels().front(), out);
}

namespace aten {

void attend(const at::Tensor& qkv, const AttentionShape& shape, const std::vector<HeadRun>& runs,
            at::Tensor& out) {
  const auto causal = [](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, std::nullopt, true);
  };
  const auto biased = [](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                         const at::Tensor& bias) {
    return at::scaled_dot_product_attention(q, k, v, bias, 0.0, false, std::nullopt, true);
  };
  over_runs(qkv, shape, runs, out, causal, biased);
}

}  // namespace aten
}  // namespace actsweep
