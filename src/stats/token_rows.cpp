#include "stats/token_rows.h"

#include <cstddef>
#include <vector>

namespace actsweep {

void append_token_rows(const Dataset& dataset, const at::Tensor& values, const OwnedRows& own,
                       RowSink& sink) {
  const auto contiguous = values.contiguous();
  const auto* first = static_cast<const std::byte*>(contiguous.const_data_ptr());
  const int64_t width = values.dim() > 2 ? values.size(2) : 1;
  const auto token_bytes = width * static_cast<int64_t>(values.element_size());
  std::vector<std::byte> rows;
  rows.reserve(static_cast<size_t>(own.real_tokens() * token_bytes));
  for (size_t i = 0; i < own.windows.size(); ++i) {
    const auto* row = first + static_cast<int64_t>(i) * own.padded_length * token_bytes;
    rows.insert(rows.end(), row, row + own.windows[i].length() * token_bytes);
  }
  sink.append(dataset, rows);
}

}  // namespace actsweep
