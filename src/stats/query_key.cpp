#include "stats/query_key.h"

#include <ATen/ATen.h>

#include "schema/declare_statistics.h"

namespace actsweep {

QueryKeyMoments::QueryKeyMoments(const ModelShare& share, const Extents& extents, at::Device device)
    : share_(share), fields_(declare_query_key(), extents, device) {}

void QueryKeyMoments::update(Site site, int64_t layer, const at::Tensor& rows,
                             const std::vector<GatheredSequence>& sequences) {
  add(name_of(site), site == Site::kQuery, layer, rows, sequences);
  if (site != Site::kQuery || !has_first_head(share_)) return;
  for (const auto& sequence : sequences) {
    fields_.layer("token_count", layer + 1).add_(sequence.length);
  }
}

void QueryKeyMoments::update_rotated(const AttentionView& view,
                                     const std::vector<GatheredSequence>& sequences) {
  const auto& shape = view.call.shape;
  const int64_t queries = shape.query_heads * shape.width, keys = shape.key_heads * shape.width;
  add("rotated_query", true, view.layer, view.qkv.narrow(1, 0, queries), sequences);
  add("rotated_key", false, view.layer, view.qkv.narrow(1, queries, keys), sequences);
}

void QueryKeyMoments::add(const std::string& name, bool is_query, int64_t layer,
                          const at::Tensor& rows,
                          const std::vector<GatheredSequence>& sequences) const {
  const auto& heads = is_query ? share_.query_heads : share_.key_heads;
  const int64_t repeated = !is_query && share_.repeats_first_key ? 1 : 0;
  if (heads.size() == 0) return;
  auto field = fields_.layer(name + "_square_sum", layer + 1)
                   .narrow(0, heads.begin + repeated, heads.size() - repeated);
  const int64_t width = rows.size(1) / heads.size();
  for (const auto& sequence : sequences) {
    if (sequence.length == 0) continue;
    field.add_(rows.narrow(0, sequence.first_row, sequence.length)
                   .to(at::kDouble)
                   .square()
                   .sum(0)
                   .view({heads.size(), width})
                   .narrow(0, repeated, heads.size() - repeated));
  }
}

}  // namespace actsweep
