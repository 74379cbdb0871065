#include "probe/donors.h"

#include <ATen/ATen.h>

#include "base/splitmix.h"

namespace actsweep {
namespace {

/// Of all members, in rank order; sequences of padding have none.
std::vector<int64_t> all_lengths(const OwnedRows& labels, at::Device device, const Group& group) {
  std::vector<int64_t> own(labels.padded_sequences);
  for (size_t i = 0; i < labels.windows.size(); ++i) own[i] = labels.windows[i].length();
  const auto mine = at::tensor(own, at::kLong).to(device);
  auto all = at::empty({group.size() * mine.size(0)}, mine.options());
  const auto gathered = group.all_gather(mine, all).to(at::kCPU);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < gathered.size(0); ++i) {
    const int64_t length = gathered.const_data_ptr<int64_t>()[i];
    if (length > 0) lengths.push_back(length);
  }
  return lengths;
}

}  // namespace

int64_t Donors::row_of(const TokenMatch& match, uint64_t seed) const {
  const auto count = static_cast<int64_t>(length.size());
  if (count < 2) return -1;
  const int64_t own = first_own + match.row / positions;
  const auto first = static_cast<uint64_t>(match.sequence - own);
  const uint64_t drawn = splitmix64(splitmix64(seed) ^ first);
  const auto shift = static_cast<int64_t>(drawn % static_cast<uint64_t>(count - 1));
  for (int64_t step = 1; step <= count; ++step) {
    const int64_t other = (own + shift + step) % count;
    if (other != own && length[other] > match.position) return other * positions + match.position;
  }
  return -1;
}

Donors gather_donors(const OwnedRows& labels, const at::Tensor& rows, const Group& group) {
  auto all = at::empty({group.size() * rows.size(0), rows.size(1)}, rows.options());
  const auto gathered = group.all_gather(rows.contiguous(), all);
  return {group.size() == 1 ? rows.clone() : gathered, all_lengths(labels, rows.device(), group),
          labels.padded_length, group.rank() * labels.padded_sequences};
}

}  // namespace actsweep
