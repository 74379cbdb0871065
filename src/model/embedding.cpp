#include "model/embedding.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/ops.h"
#include "model/mapped_rows.h"

namespace actsweep {
namespace {

constexpr int64_t kChunkRows = 1024;

/// The norm of the stream before the first layer, on a device; its weight is undefined where the
/// family has none.
Norm stream_norm(const Checkpoint& checkpoint, at::Device device) {
  const auto& facts = checkpoint.architecture().norm;
  const auto on_device = [&](Weight weight) {
    const auto stored = mapped(checkpoint, weight);
    return stored.defined() ? stored.to(device, at::kFloat) : stored;
  };
  return {facts.kind, on_device(Weight::kEmbeddingNorm), on_device(Weight::kEmbeddingNormBias),
          facts.epsilon, facts.weight_offset};
}

/// Learned positions, or none.
struct LearnedPositions {
  at::Tensor table;  // [rows, C] over the map, or undefined
  int64_t positions = 0;
  int64_t sinks = 0;
  int64_t offset = 0;

  /// `target` [n, C] holds the rows of a block from `begin` on.
  void add_to(at::Tensor& target, int64_t begin) const {
    if (!table.defined()) return;
    const auto position = index_of(target.size(0), [&](int64_t row) {
      return std::max<int64_t>((begin + row) % positions - sinks, 0) + offset;
    });
    target.add_(rows_on(target.device(), table, position).to(at::kFloat));
  }
};

}  // namespace

void embed(const Checkpoint& checkpoint, std::span<const uint32_t> ids, int64_t positions,
           at::Tensor& residual) {
  const auto& a = checkpoint.architecture();
  const auto table = mapped(checkpoint, Weight::kEmbedding);
  auto projection = mapped(checkpoint, Weight::kEmbeddingProjection);
  if (projection.defined()) projection = projection.to(at::kFloat);
  const LearnedPositions learned = {mapped(checkpoint, Weight::kPositions), positions,
                                    a.has_sink_token ? 1 : 0, a.position_offset};
  auto type = mapped(checkpoint, Weight::kTokenTypes);
  if (type.defined()) type = type[0].to(residual.device(), at::kFloat);
  const auto norm = stream_norm(checkpoint, residual.device());
  const auto count = static_cast<int64_t>(ids.size());
  ensure(count == residual.size(0), "each row of the residual stream has an id");
  for (int64_t begin = 0; begin < count; begin += kChunkRows) {
    const int64_t rows = std::min(kChunkRows, count - begin);
    auto target = residual.narrow(0, begin, rows);
    // The id of a sink token is the one behind the vocabulary.
    const auto id = index_of(
        rows, [&](int64_t row) { return std::min<int64_t>(ids[begin + row], a.vocabulary - 1); });
    auto embedded = rows_on(target.device(), table, id);
    if (projection.defined()) {
      embedded = at::mm(embedded.to(at::kFloat), projection.to(target.device()).t());
    }
    target.copy_(embedded);
    if (a.embedding_scale != 1) target.mul_(a.embedding_scale);
    if (type.defined()) target.add_(type);
    learned.add_to(target, begin);
    if (norm.weight.defined()) row_ops_of(target.device()).normalise(target, norm, target);
  }
  if (!a.has_sink_token) return;
  residual.view({-1, positions, a.channels})
      .select(1, 0)
      .copy_(mapped(checkpoint, Weight::kSinkToken));
}

}  // namespace actsweep
