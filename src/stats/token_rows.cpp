#include "stats/token_rows.h"

#include <vector>

namespace actsweep {

void append_token_rows(const Dataset& dataset, const at::Tensor& values, const OwnedRows& own,
                       RowSink& sink) {
  const int64_t width = values.dim() > 2 ? values.size(2) : 1;
  std::vector<float> rows;
  rows.reserve(static_cast<size_t>(own.real_tokens() * width));
  const auto contiguous = values.contiguous();
  const auto* value = contiguous.const_data_ptr<float>();
  for (size_t i = 0; i < own.windows.size(); ++i) {
    const auto* row = value + static_cast<int64_t>(i) * own.padded_length * width;
    rows.insert(rows.end(), row, row + own.windows[i].length() * width);
  }
  sink.append(dataset, bytes_of(rows));
}

}  // namespace actsweep
