#include "output/row_counts.h"

#include <type_traits>

namespace actsweep {
namespace {

constexpr const char* kTable = "microbatches";  // [micro-batches, 5] int64
constexpr hsize_t kColumns = 5;
static_assert(sizeof(RowCounts) == kColumns * sizeof(int64_t));
static_assert(std::is_trivially_copyable_v<RowCounts>);

}  // namespace

int64_t& RowCounts::along(Axis axis) {
  switch (axis) {
    case Axis::kToken:
      return tokens;
    case Axis::kSequence:
      return sequences;
    case Axis::kRow:
      return rows;
    case Axis::kStoredRow:
      return stored;
    default:
      ensure(axis == Axis::kEvent, "parts are concatenated along tokens, sequences, rows, events");
      return events;
  }
}

RowCounts& RowCounts::operator+=(const RowCounts& more) {
  tokens += more.tokens;
  sequences += more.sequences;
  rows += more.rows;
  events += more.events;
  stored += more.stored;
  return *this;
}

RowCounts sum_of(std::span<const RowCounts> counts) {
  RowCounts sum;
  for (const auto& one : counts) sum += one;
  return sum;
}

bool has_counts(const H5File& file) { return file.contains(kTable); }

void write_counts(const H5File& file, std::span<const RowCounts> of_microbatches) {
  const auto table = file.create_dataset(kTable, H5T_STD_I64LE, {of_microbatches.size(), kColumns});
  table.write_all(H5T_NATIVE_INT64, of_microbatches.data());
}

std::vector<RowCounts> read_counts(const H5File& file) {
  const auto table = file.dataset(kTable);
  const auto shape = table.shape();
  const bool is_table = shape.size() == 2 && shape[1] == kColumns;
  require(is_table, ErrorKind::kOutput, "{}: /{} is not a table of {} columns", file.file(), kTable,
          kColumns);
  std::vector<RowCounts> counts(shape[0]);
  table.read_all(H5T_NATIVE_INT64, counts.data());
  return counts;
}

}  // namespace actsweep
