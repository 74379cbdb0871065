#include "measure/measurement.h"

#include <limits>

#include "base/error.h"
#include "schema/declare.h"

namespace actsweep {

void Measured::prepare_rows(const OwnedRows& labels, int64_t top_k) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const size_t tokens = static_cast<size_t>(labels.real_tokens());
  is_finite.assign(tokens, 0);
  token_top_value.assign(tokens * top_k, kNan);
  token_top_channel.assign(tokens * top_k, kNoIndex);
  token_median.assign(tokens, kNan);
  token_norm.assign(tokens, kNan);
  sequence_median.assign(labels.windows.size(), kNan);
}

std::vector<int64_t> Measured::finite_rows(const OwnedRows& labels) const {
  std::vector<int64_t> rows;
  size_t token = 0;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * labels.padded_length;
    for (int64_t row = first; row < first + labels.windows[i].length(); ++row, ++token) {
      if (is_finite[token] != 0) rows.push_back(row);
    }
  }
  return rows;
}

int64_t group_count(const Slots& slots) { return slots.by_role() ? kRoles * kClasses : kClasses; }

std::vector<uint8_t> groups_of(const OwnedRows& labels, const Slots& slots) {
  auto groups = labels.token_class;
  if (!slots.by_role()) return groups;
  ensure(labels.token_role.size() == groups.size(), "every row has a role");
  for (size_t row = 0; row < groups.size(); ++row) {
    groups[row] = static_cast<uint8_t>(groups[row] + kClasses * labels.token_role[row]);
  }
  return groups;
}

}  // namespace actsweep
