#include "run/label_columns.h"

#include <fmt/format.h>

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

/// What each window asks of the loss.
void add_requests(const std::vector<OwnedRows>& own, std::vector<Column>& columns) {
  for (const auto& [name, value, meaning] : kRequestColumns) {
    std::vector<uint32_t> values;
    for (const auto& rows : own) {
      for (const auto& request : rows.requests) values.push_back(request.*value);
    }
    columns.push_back(column(fmt::format("requests/{}", name).c_str(), values));
  }
}

/// The first `count` values from `begin` on, behind those that are there.
template <typename T>
void add(std::vector<T>& into, const std::vector<T>& values, int64_t begin, int64_t count) {
  into.insert(into.end(), values.begin() + begin, values.begin() + begin + count);
}

}  // namespace

std::vector<Column> label_columns(const SweepInputs& inputs, const std::vector<OwnedRows>& own) {
  std::vector<uint32_t> id, position, length;
  std::vector<int64_t> sequence, document;
  std::vector<uint8_t> token_class, role;
  for (const auto& rows : own) {
    for (size_t i = 0; i < rows.windows.size(); ++i) {
      const auto& window = rows.windows[i];
      const int64_t begin = static_cast<int64_t>(i) * rows.padded_length, count = window.length();
      add(id, rows.token_id, begin, count);
      add(document, rows.document, begin, count);
      add(token_class, rows.token_class, begin, count);
      if (!rows.token_role.empty()) add(role, rows.token_role, begin, count);
      for (uint32_t p = 0; p < count; ++p) position.push_back(p);
      sequence.insert(sequence.end(), count, window.sequence);
      length.push_back(static_cast<uint32_t>(count));
    }
  }
  std::vector<Column> columns = {column("tokens/id", id),
                                 column("tokens/position", position),
                                 column("tokens/sequence", sequence),
                                 column("tokens/document", document),
                                 column("tokens/class", token_class),
                                 column("sequences/length", length)};
  if (inputs.corpus.has_roles()) columns.push_back(column("tokens/role", role));
  if (inputs.job.statistics.loss && !inputs.corpus.requests().empty()) add_requests(own, columns);
  if (inputs.images != nullptr) add_grid(*inputs.images, id, columns);
  return columns;
}

}  // namespace actsweep
