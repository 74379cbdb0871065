#include "run/next_tokens.h"

#include <ATen/ATen.h>

namespace actsweep {

NextTokens next_tokens(const OwnedRows& labels, bool has_sink) {
  NextTokens next = {at::zeros({labels.row_count()}, at::kLong),
                     at::ones({labels.row_count()}, at::kBool)};
  auto* id = next.id.mutable_data_ptr<int64_t>();
  auto* is_absent = next.is_absent.mutable_data_ptr<bool>();
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * labels.padded_length;
    const auto last = first + labels.windows[i].length() - 1;
    for (int64_t row = first + (has_sink ? 1 : 0); row < last; ++row) {
      id[row] = labels.token_id[row + 1];
      is_absent[row] = false;
    }
  }
  return next;
}

}  // namespace actsweep
