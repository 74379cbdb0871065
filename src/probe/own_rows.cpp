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
  return {0, (a_.has_experts(layer) ? share.shared_ffn : share.ffn).size()};
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

/// Whole rows from slices that the members have of all rows.
at::Tensor OwnRows::exchange(Site site, int64_t layer, const at::Tensor& rows) const {
  int64_t widest = 0;
  for (int member = 0; member < group_.size(); ++member) {
    widest = std::max(widest, part_of(site, layer, member).end);
  }
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
