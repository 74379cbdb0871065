#include "probe/own_rows.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace actsweep {

OwnRows::OwnRows(const Architecture& architecture, const Group& group)
    : a_(architecture), group_(group) {
  for (int member = 0; member < group.size(); ++member) {
    shares_.push_back(share_of(architecture, group.size(), member));
  }
}

OwnRows::Part OwnRows::part_of(Site site, int64_t layer, int member) const {
  const auto& share = shares_[member];
  const auto layout = layout_of(site);
  const int64_t width = has_value_channels(site) ? a_.value_channels() : a_.head_width;
  if (layout == SiteLayout::kHeads) return {0, share.query_heads.size() * width};
  if (layout == SiteLayout::kKeys) {
    return {share.repeats_first_key ? width : 0, share.key_heads.size() * width};
  }
  return {0, dense_neurons(share, a_, layer).size()};
}

at::Tensor OwnRows::take(Site site, int64_t layer, const at::Tensor& rows) {
  const auto layout = layout_of(site);
  if (layout == SiteLayout::kOwned || group_.size() == 1) return widen(rows);
  if (layout != SiteLayout::kShared) return exchange(site, layer, rows);
  const int64_t mine = rows.size(0) / group_.size();
  return widen(rows.narrow(0, group_.rank() * mine, mine));
}

/// New memory for every micro-batch would cost more in page faults than the widening itself.
at::Tensor OwnRows::widen(const at::Tensor& rows) {
  if (!rows.is_cpu() || rows.scalar_type() == at::kFloat) return rows.to(at::kFloat).contiguous();
  const bool is_held = widened_.defined() && widened_.storage().use_count() > 1;
  if (!widened_.defined() || is_held || widened_.numel() < rows.numel()) {
    widened_ = at::empty({rows.numel()}, rows.options().dtype(at::kFloat));
  }
  auto taken = widened_.narrow(0, 0, rows.numel()).view(rows.sizes());
  taken.copy_(rows);
  return taken;
}

void OwnRows::give_back(Site site, int64_t layer, const at::Tensor& whole,
                        const at::Tensor& rows) const {
  const auto layout = layout_of(site);
  if (layout == SiteLayout::kOwned || group_.size() == 1) {
    rows.copy_(whole);
  } else if (layout == SiteLayout::kShared) {
    auto all = at::empty({rows.size(0), whole.size(1)}, whole.options());
    rows.copy_(group_.all_gather(whole, all));
  } else {
    exchange_back(site, layer, whole, rows);
  }
}

int64_t OwnRows::widest_part(Site site, int64_t layer) const {
  int64_t widest = 0;
  for (int member = 0; member < group_.size(); ++member) {
    widest = std::max(widest, part_of(site, layer, member).end);
  }
  return widest;
}

/// Slices of all rows from whole rows of the members.
void OwnRows::exchange_back(Site site, int64_t layer, const at::Tensor& whole,
                            const at::Tensor& rows) const {
  const int64_t widest = widest_part(site, layer);
  auto mine = at::zeros({group_.size(), whole.size(0), widest}, whole.options());
  int64_t next = 0;  // column behind the members before
  for (int member = 0; member < group_.size(); ++member) {
    const auto part = part_of(site, layer, member);
    const int64_t begin = next - part.first;
    mine[member].narrow(1, 0, part.end).copy_(whole.narrow(1, begin, part.end));
    next = begin + part.end;
  }
  auto exchanged = at::empty({rows.size(0), widest}, whole.options());
  group_.all_to_all(mine.view_as(exchanged), exchanged);
  rows.copy_(exchanged.narrow(1, 0, rows.size(1)));
}

/// Whole rows from slices that the members have of all rows.
at::Tensor OwnRows::exchange(Site site, int64_t layer, const at::Tensor& rows) const {
  const int64_t widest = widest_part(site, layer);
  const auto options = rows.options().dtype(at::kFloat);
  auto mine = at::zeros({rows.size(0), widest}, options);
  mine.narrow(1, 0, rows.size(1)).copy_(rows);
  auto exchanged = at::empty_like(mine);
  group_.all_to_all(mine, exchanged);
  const auto by_member = exchanged.view({group_.size(), -1, widest});
  std::vector<at::Tensor> parts;
  for (int member = 0; member < group_.size(); ++member) {
    const auto part = part_of(site, layer, member);
    if (part.end > part.first) {
      parts.push_back(by_member[member].narrow(1, part.first, part.end - part.first));
    }
  }
  return at::cat(parts, 1);
}

}  // namespace actsweep
