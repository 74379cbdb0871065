#include "model/forward.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"

namespace actsweep {
namespace {

const TensorRow& embedding_row(const Checkpoint& checkpoint) {
  for (const auto& row : checkpoint.rows()) {
    if (row.weight == Weight::kEmbedding) return row;
  }
  ensure(false, "every family lists its embedding");
  return checkpoint.rows().front();
}

/// out [n, width] = in [n, k] times weight [width, k] transposed, plus a bias [width] where there
/// is one.
void project(const at::Tensor& in, const at::Tensor& weight, const at::Tensor& bias,
             at::Tensor& out) {
  if (weight.numel() == 0) {
    // A rank without heads or neurons adds nothing but a bias that it holds.
    bias.defined() ? out.copy_(bias.expand_as(out)) : out.zero_();
    return;
  }
  if (bias.defined()) {
    at::addmm_out(out, bias, in, weight.t());
  } else {
    at::mm_out(out, in, weight.t());
  }
}

}  // namespace

void embed(const Checkpoint& checkpoint, std::span<const uint32_t> ids, at::Tensor& residual) {
  const auto& stored = checkpoint.tensor(embedding_row(checkpoint), 0);
  const auto table = at::from_blob(const_cast<std::byte*>(stored.data()), stored.shape,
                                   at::TensorOptions().dtype(scalar_type(stored.dtype)));
  const auto count = static_cast<int64_t>(ids.size());
  ensure(count == residual.size(0), "each row of the residual stream has an id");
  constexpr int64_t kChunk = 1024;
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    const int64_t rows = std::min(kChunk, count - begin);
    const auto index = at::empty({rows}, at::kLong);
    std::copy_n(ids.begin() + begin, rows, index.mutable_data_ptr<int64_t>());
    residual.narrow(0, begin, rows).copy_(table.index_select(0, index));
  }
}

Forward::Forward(const Architecture& architecture, const Group& group, const Options& options)
    : architecture_(architecture),
      group_(group),
      share_(share_of(architecture, group.size(), group.rank())),
      workspace_(architecture, share_, {options.owned_rows, group.size(), options.dtype},
                 options.device),
      rotary_(rotary_table(architecture, options.positions, options.device)) {}

at::Tensor Forward::reduce(int64_t rows) {
  const auto partial = workspace_.partial(rows);
  if (group_.size() == 1) return partial;
  auto sum = workspace_.sum(rows);
  group_.reduce_scatter(partial, sum);
  return sum;
}

void Forward::attention(const StageWeights& weights, int64_t layer, int64_t positions,
                        at::Tensor& residual) {
  const int64_t rows = residual.size(0), width = architecture_.head_width;
  const int64_t queries = share_.query_heads.size(), keys = share_.key_heads.size();
  auto normed = workspace_.normed(rows);
  rms_norm(residual, {weights[Weight::kAttentionNorm], architecture_.norm_epsilon}, normed);
  auto gathered = workspace_.gathered(rows);
  gathered = group_.all_gather(normed, gathered);

  auto heads_out = workspace_.middle(rows, queries * width);
  if (queries > 0) {
    auto qkv = workspace_.wide(rows, (queries + 2 * keys) * width);
    project(gathered, weights[Weight::kQkv], weights[Weight::kQkvBias], qkv);
    rotate(qkv, {queries + keys, width, positions}, rotary_);
    attend(qkv, {positions, queries, keys, width, architecture_.window[layer]}, share_.runs,
           heads_out);
  }
  auto partial = workspace_.partial(rows);
  // One rank alone adds the bias of a sum.
  const auto bias = group_.rank() == 0 ? weights[Weight::kAttentionOutputBias] : at::Tensor();
  project(heads_out, weights[Weight::kAttentionOutput], bias, partial);
}

void Forward::mlp(const StageWeights& weights, at::Tensor& residual) {
  const int64_t rows = residual.size(0), neurons = share_.ffn.size();
  auto normed = workspace_.normed(rows);
  auto gathered = workspace_.gathered(rows);
  gathered = group_.all_gather(normed, gathered);

  auto hidden = workspace_.middle(rows, neurons);
  if (neurons > 0) {
    auto gate_up = workspace_.wide(rows, 2 * neurons);
    project(gathered, weights[Weight::kGateUp], weights[Weight::kGateUpBias], gate_up);
    gate(gate_up, hidden);
  }
  auto partial = workspace_.partial(rows);
  const auto bias = group_.rank() == 0 ? weights[Weight::kDownBias] : at::Tensor();
  project(hidden, weights[Weight::kDown], bias, partial);
}

void Forward::layer(const StageWeights& weights, int64_t layer, int64_t positions,
                    at::Tensor& residual) {
  ensure(residual.size(0) % positions == 0, "a micro-batch holds whole sequences");
  const int64_t rows = residual.size(0);
  attention(weights, layer, positions, residual);
  // At m = 1 the sum and the normed rows share a buffer: a row is read before it is overwritten.
  auto normed = workspace_.normed(rows);
  add_and_norm(residual, reduce(rows), {weights[Weight::kMlpNorm], architecture_.norm_epsilon},
               normed);
  mlp(weights, residual);
  add_rows(residual, reduce(rows));
}

}  // namespace actsweep
