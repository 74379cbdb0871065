#include "stats/reduce_fields.h"

#include <ATen/ATen.h>

#include <limits>
#include <map>
#include <string>

#include "base/error.h"

namespace actsweep {
namespace {

Reduction reduction_of(Merge merge) {
  if (merge == Merge::kMax) return Reduction::kMax;
  if (merge == Merge::kMin) return Reduction::kMin;
  ensure(merge == Merge::kSum, "a field merges by sum, maximum or minimum");
  return Reduction::kSum;
}

/// Where a member has the group's maximum, by the path of the maximum.
using Holders = std::map<std::string, at::Tensor>;

void reduce_companion(Field& field, const Holders& holders, const Group& group) {
  constexpr int64_t kNobody = std::numeric_limits<int64_t>::max();
  const auto& is_holder = holders.at(field.dataset->maximum);
  ensure(field.values.scalar_type() == at::kLong, "what goes with a maximum is a number");
  auto candidate = field.values.masked_fill(is_holder.logical_not(), kNobody);
  group.all_reduce(candidate, Reduction::kMin);
  field.values.copy_(candidate);
}

}  // namespace

void reduce_fields(std::vector<Field>& fields, const Group& group) {
  Holders holders;
  for (const auto& field : fields) {
    if (field.dataset->merge == Merge::kOfMax) holders[field.dataset->maximum] = at::Tensor();
  }
  for (auto& field : fields) {
    if (field.dataset->merge == Merge::kOfMax) continue;
    const auto found = holders.find(field.dataset->path);
    const auto own = found == holders.end() ? at::Tensor() : field.values.clone();
    group.all_reduce(field.values, reduction_of(field.dataset->merge));
    if (own.defined()) found->second = own.eq(field.values);
  }
  for (auto& field : fields) {
    if (field.dataset->merge == Merge::kOfMax) reduce_companion(field, holders, group);
  }
}

}  // namespace actsweep
