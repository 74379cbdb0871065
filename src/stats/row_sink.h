// Where rows per token and per sequence go. Mentions no tensor.
#pragma once

#include <cstddef>
#include <span>

#include "schema/declare.h"

namespace actsweep {

/// Receives rows on the host, in the order of the real tokens or sequences of the labels.
class RowSink {
 public:
  virtual ~RowSink() = default;
  /// `values` holds the dataset's rows of this micro-batch and layer: [real tokens or sequences,
  /// ...trailing axes]. Under per_token = "massive" these are the rows of all real tokens: which of
  /// them have an event in some layer is known only when the block has passed all layers.
  virtual void append(const Dataset& dataset, std::span<const std::byte> values) = 0;
};

/// The bytes of `values`, as RowSink::append takes them.
template <typename Values>
std::span<const std::byte> bytes_of(const Values& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace actsweep
