#include "stats/score_extrema.h"

#include <ATen/ATen.h>

#include <limits>

#include "schema/declare_statistics.h"

namespace actsweep {

ScoreExtrema::ScoreExtrema(const ModelShare& share, const Extents& extents, at::Device device)
    : share_(share), fields_(declare_scores(), extents, device) {}

/// This rank's query heads of a field of one layer.
at::Tensor ScoreExtrema::mine(const char* name, int64_t layer) const {
  const auto& heads = share_.query_heads;
  return fields_.layer(name, layer + 1).narrow(0, heads.begin, heads.size());
}

void ScoreExtrema::update(const AttentionView& view, const ScoreSummary& found,
                          const GatheredSequences& sequences, const at::Tensor& is_finite) {
  const auto left_out = is_finite.logical_not().unsqueeze(1);  // [S, 1]
  const auto by_sequence =
      found.largest.masked_fill(left_out, -std::numeric_limits<float>::infinity());
  const auto largest = by_sequence.amax(0);  // [heads]
  const auto number = at::arange(by_sequence.size(0), found.largest_key.options()).unsqueeze(1);
  const auto first = at::where(by_sequence.eq(largest), number, by_sequence.size(0)).amin(0);
  const auto of_first = [&](const at::Tensor& values) {
    return values.gather(0, first.unsqueeze(0)).squeeze(0);
  };
  const auto before = mine("largest", view.layer);
  const auto is_larger = largest.gt(before);
  const auto keep = [&](const char* name, const at::Tensor& values) {
    const auto field = mine(name, view.layer);
    field.copy_(at::where(is_larger, values, field));
  };
  keep("query_position", of_first(found.largest_query));
  keep("key_position", of_first(found.largest_key));
  keep("largest", largest);

  const auto& shape = view.call.shape;
  const auto counts = sequences.is_token.logical_and(is_finite.unsqueeze(1)).flatten();  // [n]
  const auto heads = view.qkv.view({view.qkv.size(0), -1, shape.width});
  const auto norms_of = [&](const char* name, const Share& of, int64_t first_head, int64_t width) {
    add_norms(name, of, view.layer, heads.narrow(1, first_head, of.size()).narrow(2, 0, width),
              counts);
  };
  norms_of("query_norm", share_.query_heads, 0, view.places.query);
  norms_of("key_norm", share_.key_heads, shape.query_heads, view.places.query);
  norms_of("value_norm", share_.key_heads, shape.query_heads + shape.key_heads, view.places.value);
}

/// Heads that a neighbour holds as well have the same maximum there.
void ScoreExtrema::add_norms(const char* name, const Share& heads, int64_t layer,
                             const at::Tensor& rows, const at::Tensor& counts) {
  const auto norm = at::norm(rows.to(at::kFloat), 2, 2);  // [n, heads]
  const auto largest = norm.masked_fill(counts.logical_not().unsqueeze(1), 0).amax(0);
  const auto field = fields_.layer(name, layer + 1).narrow(0, heads.begin, heads.size());
  field.copy_(at::maximum(field, largest));
}

}  // namespace actsweep
