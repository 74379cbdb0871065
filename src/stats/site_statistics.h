// The statistics of one site: what a layer's rows become.
//
// In: the rows of one micro-batch that this rank owns, with their labels. Out: rows per token and per sequence (handed to
// a RowSink at once), events, and per-layer fields that add up over a segment. CPU tensors go through the vectorised
// kernels, tile by tile; tensors on another device through ATen operators, with the same results.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corpus/window.h"
#include "stats/declare.h"
#include "stats/event.h"

namespace actsweep {

/// The rows of one micro-batch at one layer of a site.
struct SiteBatch {
  at::Tensor rows;  // [labels->row_count(), C] float32, contiguous, owned rows
  int64_t layer = 0;
  const OwnedRows* labels = nullptr;
};

/// Receives per-token and per-sequence rows on the host, in the order of the real tokens or sequences.
class RowSink {
 public:
  virtual ~RowSink() = default;
  /// `values` holds the dataset's rows of this micro-batch and layer: [real tokens or sequences, ...trailing axes].
  virtual void append(const Dataset& dataset, std::span<const std::byte> values) = 0;
};

/// A per-layer sum, maximum or minimum over the tokens of a segment.
struct Field {
  const Dataset* dataset = nullptr;
  at::Tensor values;  // [layers, ...] of the dataset's type, on the statistics' device
};

/// Lengths that the statistics need.
struct SiteShape {
  int64_t layers = 0;    // L + 1: layer 0 is the embedding output
  int64_t channels = 0;  // C
};

class SiteStatistics {
 public:
  /// `site` is the group's name in the file ("residual"). Fields live on `device`.
  SiteStatistics(const std::string& site, const Job& job, SiteShape shape, at::Device device);
  ~SiteStatistics();

  /// Sets all fields to their neutral value.
  void begin_segment();
  /// Measures one micro-batch. Appends its rows to `sink` and its events, in the file's order (sequence, falling
  /// magnitude), to `events`.
  void update(const SiteBatch& batch, RowSink& sink, std::vector<Event>& events);
  /// The fields as they stand, to be reduced over the model group by their merge rules.
  std::vector<Field> fields();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace actsweep
