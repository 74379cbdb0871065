#include "stats/query_key.h"

#include <ATen/ATen.h>

#include "schema/declare_statistics.h"

namespace actsweep {

namespace {

/// Queries or keys after rotary positions, [n, heads * D] in the model's order of channels.
at::Tensor rotated_heads(const AttentionView& view, int64_t first_head, int64_t heads) {
  const auto& places = view.places;
  const int64_t width = view.call.shape.width, rows = view.qkv.size(0);
  const auto part = view.qkv.narrow(1, first_head * width, heads * width);
  if (places.query == width && places.turned == 0) return part;
  const auto by_head = part.view({rows, heads, width});
  return at::cat({by_head.narrow(2, places.turned, places.query - places.turned),
                  by_head.narrow(2, 0, places.turned)},
                 2)
      .view({rows, heads * places.query});
}

}  // namespace

/// Which sum a tensor of rows belongs to.
struct QueryKeyMoments::Part {
  std::string name;
  bool is_query;
  const QueryKeyGroups& groups;
};

QueryKeyGroups::QueryKeyGroups(const GatheredSequences& all, const ModelShare& share, int64_t width,
                               const Grouping& grouping)
    : sequences(all) {
  const auto keys = first_keys(all);
  of_queries = group_sequences(all, keys, {share.query_heads.size(), width}, grouping);
  of_keys = group_sequences(all, keys, {share.key_heads.size(), width}, grouping);
}

QueryKeyMoments::QueryKeyMoments(const ModelShare& share, const Extents& extents, at::Device device)
    : share_(share), fields_(declare_query_key(value_width_of(extents)), extents, device) {}

void QueryKeyMoments::update(Site site, int64_t layer, const at::Tensor& rows,
                             const QueryKeyGroups& groups, const at::Tensor& is_finite) {
  add({name_of(site), site == Site::kQuery, groups}, layer, rows, is_finite);
  if (site != Site::kQuery || !has_first_head(share_)) return;
  count_sequences(fields_.layer("token_count", layer + 1), groups.sequences.length, is_finite);
}

void QueryKeyMoments::update_rotated(const AttentionView& view, const QueryKeyGroups& groups,
                                     const at::Tensor& is_finite) {
  const auto& shape = view.call.shape;
  const int64_t queries = shape.query_heads, keys = shape.key_heads;
  add({"rotated_query", true, groups}, view.layer, rotated_heads(view, 0, queries), is_finite);
  add({"rotated_key", false, groups}, view.layer, rotated_heads(view, queries, keys), is_finite);
}

void QueryKeyMoments::add(const Part& part, int64_t layer, const at::Tensor& rows,
                          const at::Tensor& is_finite) const {
  const auto& heads = part.is_query ? share_.query_heads : share_.key_heads;
  const int64_t repeated = !part.is_query && share_.repeats_first_key ? 1 : 0;
  if (heads.size() == 0) return;
  const auto& sequences = part.groups.sequences;
  const auto all = rows.view({sequences.count(), sequences.positions(), rows.size(1)});
  auto sums = at::zeros({sequences.count(), rows.size(1)}, rows.options().dtype(at::kDouble));
  for (const auto& group : part.is_query ? part.groups.of_queries : part.groups.of_keys) {
    auto square =
        all.narrow(1, 0, group.length).index_select(0, group.sequence).to(at::kDouble).square_();
    if (group.is_padded) square.masked_fill_(group.is_padding().unsqueeze(2), 0);
    sums.index_copy_(0, group.sequence, square.sum(1));
  }
  const auto mine = sums.view({sequences.count(), heads.size(), -1})
                        .narrow(1, repeated, heads.size() - repeated)
                        .contiguous();
  add_sequences(fields_.layer(part.name + "_square_sum", layer + 1)
                    .narrow(0, heads.begin + repeated, heads.size() - repeated),
                mine, is_finite);
}

}  // namespace actsweep
