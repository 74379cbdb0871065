#include "run/label_columns.h"

#include <span>

namespace actsweep {
namespace {

template <typename T>
Column column(const char* path, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {path, {bytes.begin(), bytes.end()}};
}

/// Row and column of each patch; 4294967295 for class tokens and registers.
void add_grid(const ImageFile& images, const std::vector<uint32_t>& ids,
              std::vector<Column>& columns) {
  std::vector<uint32_t> row, at;
  for (const auto id : ids) {
    const int64_t patch = images.patch_of(id);
    row.push_back(patch < 0 ? UINT32_MAX : static_cast<uint32_t>(patch / images.grid_columns()));
    at.push_back(patch < 0 ? UINT32_MAX : static_cast<uint32_t>(patch % images.grid_columns()));
  }
  columns.push_back(column("tokens/grid_row", row));
  columns.push_back(column("tokens/grid_column", at));
}

}  // namespace

std::vector<Column> label_columns(const SweepInputs& inputs, WindowRange windows) {
  std::vector<uint32_t> id, position, length;
  std::vector<int64_t> sequence, document;
  std::vector<uint8_t> token_class;
  for (int64_t w = windows.begin; w < windows.end; ++w) {
    // One window alone has no padding.
    const auto rows = owned_rows(inputs.windows, inputs.corpus, {w, w + 1}, 1, 0);
    id.insert(id.end(), rows.token_id.begin(), rows.token_id.end());
    document.insert(document.end(), rows.document.begin(), rows.document.end());
    token_class.insert(token_class.end(), rows.token_class.begin(), rows.token_class.end());
    for (uint32_t i = 0; i < rows.padded_length; ++i) position.push_back(i);
    sequence.insert(sequence.end(), rows.padded_length, w);
    length.push_back(static_cast<uint32_t>(rows.padded_length));
  }
  std::vector<Column> columns = {column("tokens/id", id),
                                 column("tokens/position", position),
                                 column("tokens/sequence", sequence),
                                 column("tokens/document", document),
                                 column("tokens/class", token_class),
                                 column("sequences/length", length)};
  if (inputs.images != nullptr) add_grid(*inputs.images, id, columns);
  return columns;
}

}  // namespace actsweep
