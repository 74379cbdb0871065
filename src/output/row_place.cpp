#include "output/row_place.h"

namespace actsweep {
namespace {

constexpr const char* kPadding = "padding";

}  // namespace

int64_t padding_of(const H5Dataset& dataset) {
  return dataset.has_attribute(kPadding) ? dataset.read_int(kPadding) : 0;
}

void write_padding(const H5Dataset& dataset, int64_t rows) {
  if (rows > 0) dataset.write_attribute({kPadding, rows});
}

}  // namespace actsweep
