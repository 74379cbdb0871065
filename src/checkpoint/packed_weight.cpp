#include "checkpoint/packed_weight.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

/// Where AWQ puts the codes of eight columns in a word.
constexpr int64_t kAwqPlaces[] = {0, 4, 1, 5, 2, 6, 3, 7};

int64_t placed(CodeGrid::Order order, int64_t code) {
  switch (order) {
    case CodeGrid::Order::kPlain:
      return code;
    case CodeGrid::Order::kAwq:
      return code / 8 * 8 + kAwqPlaces[code % 8];
    case CodeGrid::Order::kHighFirst:
      return code ^ 1;
  }
  return code;
}

uint32_t word_at(const StoredTensor& tensor, int64_t word, int bytes) {
  uint32_t value = 0;
  std::memcpy(&value, tensor.data() + word * bytes, static_cast<size_t>(bytes));
  return value;
}

int32_t whole_at(const StoredTensor& tensor, int64_t index) {
  int32_t value = 0;
  std::memcpy(&value, tensor.data() + index * static_cast<int64_t>(sizeof(value)), sizeof(value));
  return value;
}

}  // namespace

float CodeGrid::at(int64_t row, int64_t column) const {
  const int64_t run = is_along_rows ? column : row;
  const int64_t code = placed(order, (is_along_rows ? row : column) + run * run_codes);
  const int64_t bit = code * bits, word_bits = 8 * word_bytes;
  const int64_t word = bit / word_bits, shift = bit % word_bits;
  uint64_t found = word_at(*tensor, word * word_stride + run * run_words, word_bytes);
  if (shift + bits > word_bits) {  // three bits cross the borders of words
    const uint64_t next = word_at(*tensor, (word + 1) * word_stride + run * run_words, word_bytes);
    found |= next << word_bits;
  }
  return (*numbers)[found >> shift & ((uint64_t{1} << bits) - 1)];
}

void CodeGrid::read(int64_t row, int64_t begin, int64_t end, float* numbers_out) const {
  const bool is_stream = word_bytes == 1 && !is_along_rows && order != Order::kAwq;
  if (is_stream && bits == 8) return read_bytes(row, begin, end, numbers_out);
  if (is_stream && bits == 4) return read_halves(row, begin, end, numbers_out);
  for (int64_t column = begin; column < end; ++column) {
    numbers_out[column - begin] = at(row, column);
  }
}

const uint8_t* CodeGrid::bytes_of(int64_t row) const {
  return reinterpret_cast<const uint8_t*>(tensor->data()) + row * run_words;
}

void CodeGrid::read_bytes(int64_t row, int64_t begin, int64_t end, float* numbers_out) const {
  const auto* codes = bytes_of(row) + row * run_codes;
  const float* table = numbers->data();
  for (int64_t column = begin; column < end; ++column) *numbers_out++ = table[codes[column]];
}

void CodeGrid::read_halves(int64_t row, int64_t begin, int64_t end, float* numbers_out) const {
  const auto* bytes = bytes_of(row);
  const float* table = numbers->data();
  const int64_t first = row * run_codes, swap = order == Order::kHighFirst ? 1 : 0;
  for (int64_t code = first + begin; code < first + end; ++code) {
    *numbers_out++ = table[bytes[code / 2] >> 4 * ((code ^ swap) & 1) & 15];
  }
}

int64_t PackedWeight::group_of(int64_t row, int64_t column) const {
  if (groups.of_column == nullptr) {
    if (groups.width == 0) return 0;
    return (groups.is_flat ? row * columns + column : column) / groups.width;
  }
  const int64_t group = whole_at(*groups.of_column, column);
  require(group >= 0 && group < groups.count, ErrorKind::kModel,
          "{}: the group of column {} of a quantised weight: expected one below {}, found {}",
          groups.of_column->file->path(), column, groups.count, group);
  return group;
}

int64_t PackedWeight::end_of_group(int64_t row, int64_t column, int64_t end) const {
  const int64_t group = group_of(row, column);
  if (groups.of_column != nullptr) {
    while (++column < end && group_of(row, column) == group) continue;
    return column;
  }
  if (groups.width == 0) return end;
  return std::min(end, (group + 1) * groups.width - (groups.is_flat ? row * columns : 0));
}

float ScaleGrid::at(int64_t place) const {
  if (nested.scales == nullptr) return stored_number(*tensor, place) * static_cast<float>(factor);
  const auto code = std::to_integer<int64_t>(tensor->data()[place]);
  return stored_number(*nested.numbers, code) *
             stored_number(*nested.scales, place / nested.block) +
         nested.offset;
}

float PackedWeight::scale_of(int64_t row, int64_t group) const {
  const float scale =
      scales.at(row / scales.block_rows * scales.row_stride + group * scales.group_stride);
  if (scales.of_matrix == nullptr) return scale;
  const float factor = stored_number(*scales.of_matrix, 0);
  return scales.is_divisor ? scale / factor : scale * factor;
}

void PackedWeight::widen(int64_t row, int64_t begin, int64_t end, float* values) const {
  codes.read(row, begin, end, values);
  for (int64_t first = begin; first < end;) {
    const int64_t group = group_of(row, first), last = end_of_group(row, first, end);
    const float scale = scale_of(row, group);
    const float zero = zeros.tensor == nullptr ? 0 : zeros.at(row / scales.block_rows, group);
    for (int64_t column = first; column < last; ++column) {
      values[column - begin] = (values[column - begin] - zero) * scale;
    }
    first = last;
  }
}

void PackedWeight::read_ahead(int64_t begin, int64_t end) const {
  for (const auto& [name, tensor] : parts) {
    const bool is_by_row = !codes.is_along_rows && tensor->bytes % rows == 0;
    const int64_t row_bytes = is_by_row ? tensor->bytes / rows : 0;
    if (is_by_row) {
      tensor->file->read_ahead(tensor->offset + begin * row_bytes, (end - begin) * row_bytes);
    } else {
      tensor->file->read_ahead(tensor->offset, tensor->bytes);
    }
  }
}

}  // namespace actsweep
