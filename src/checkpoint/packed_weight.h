// A weight that is stored as codes: numbers of few bits, each times a scale, that other tensors
// hold.
//
// In: the stored tensors, and where in them the code, the scale and the zero of an element stand;
// methods of quantisation (checkpoint/quantisation.h) say so. Out: any run of a row's columns as
// float32: (number of the code - zero) * scale. The axes are those of the weight, [out, in].
// Matrices in one stacked tensor are one below the other. Refuses nothing: shapes are proven
// before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/safetensors.h"

namespace actsweep {

/// What the codes of a type stand for, by code.
using Numbers = std::shared_ptr<const std::vector<float>>;

/// Codes in words. Codes that follow each other along one axis fill words, lowest bits first; of
/// these words and runs the strides say where they lie.
struct CodeGrid {
  enum class Order { kPlain, kAwq, kHighFirst };  // of codes within a word

  const StoredTensor* tensor = nullptr;
  Numbers numbers = {};
  int bits = 8;
  int word_bytes = 1;
  bool is_along_rows = false;  // codes of one column follow each other; else of one row
  int64_t word_stride = 1;     // words between the words of a run
  int64_t run_words = 0;       // between runs: in words,
  int64_t run_codes = 0;       // or in codes
  Order order = Order::kPlain;

  float at(int64_t row, int64_t column) const;
  /// Of one row, to `numbers_out` [end - begin].
  void read(int64_t row, int64_t begin, int64_t end, float* numbers_out) const;

 private:
  const uint8_t* bytes_of(int64_t row) const;
  void read_bytes(int64_t row, int64_t begin, int64_t end, float* numbers_out) const;
  void read_halves(int64_t row, int64_t begin, int64_t end, float* numbers_out) const;
};

/// Which columns share a scale and a zero.
struct ColumnGroups {
  int64_t width = 0;                        // columns in a group; 0: all of them
  bool is_flat = false;                     // groups go on from row to row
  const StoredTensor* of_column = nullptr;  // I32: the group of each column,
  int64_t count = 0;                        // which is below this
};

/// Scales that are codes of 8 bits themselves, in blocks.
struct NestedScales {
  const StoredTensor* numbers = nullptr;  // [256] of the codes
  const StoredTensor* scales = nullptr;   // [blocks]
  int64_t block = 1;
  float offset = 0;  // of every scale
};

/// A scale for each block of rows and group of columns.
struct ScaleGrid {
  const StoredTensor* tensor = nullptr;
  int64_t block_rows = 1;
  int64_t row_stride = 0;                   // elements between blocks of rows
  int64_t group_stride = 0;                 // elements between groups of columns
  double factor = 1;                        // of all
  const StoredTensor* of_matrix = nullptr;  // one element: a factor of all, or a divisor
  bool is_divisor = false;
  NestedScales nested = {};

  float at(int64_t place) const;
};

struct PackedWeight {
  int64_t rows = 0, columns = 0;  // of all matrices that are stacked
  CodeGrid codes = {};
  ColumnGroups groups = {};
  ScaleGrid scales = {};
  CodeGrid zeros = {};  // by block of rows and group; none where its tensor is null
  /// All tensors that it is made of, by the last words of their names.
  std::vector<std::pair<std::string, const StoredTensor*>> parts = {};

  /// Columns [begin, end) of a row.
  void widen(int64_t row, int64_t begin, int64_t end, float* values) const;
  /// Asks for the pages of rows [begin, end).
  void read_ahead(int64_t begin, int64_t end) const;

 private:
  int64_t group_of(int64_t row, int64_t column) const;
  int64_t end_of_group(int64_t row, int64_t column, int64_t end) const;
  float scale_of(int64_t row, int64_t group) const;
};

}  // namespace actsweep
