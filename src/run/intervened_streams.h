// The residual streams of a block that interventions change: the original's, and each variant's.
//
// A variant is the original's model with its own interventions beside those without a variant, in
// the order of the job. Its stream is a copy of the original's from the lowest layer at which one
// of its own applies; below, it is the original's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "probe/intervention.h"
#include "run/inputs.h"

namespace actsweep {

/// Hears what the interventions of a stream's own changed. `intervention`: its number in the job.
using InterventionListener =
    std::function<void(size_t intervention, const Intervention::Counts& counts)>;

/// One micro-batch's rows behind a layer.
struct LayerRows {
  int64_t layer = 0;
  const OwnedRows& labels;
  at::Tensor rows;  // [labels.row_count(), C] float32, owned rows
};

class IntervenedStreams {
 public:
  /// `like`: the original's stream of the largest block.
  IntervenedStreams(const SweepInputs& inputs, const at::Tensor& like);

  size_t variants() const { return variants_.size(); }
  /// The variant's stream of a block, which lies as the original's does.
  const at::Tensor& stream(size_t variant) const { return variants_[variant].stream; }
  /// Whether a variant's stream differs from the original's behind `layer`.
  bool has_left(size_t variant, int64_t layer) const {
    return variants_[variant].first_layer <= layer;
  }

  /// Changes the original's rows. Variants that begin to differ here take a copy of what they were
  /// before: `first_row` is their place in the stream.
  void leave_and_change(const LayerRows& original, int64_t first_row,
                        const InterventionListener& listener);
  void change_original(const LayerRows& original, const InterventionListener& listener) const;
  void change_variant(size_t variant, const LayerRows& rows,
                      const InterventionListener& listener) const;

 private:
  struct Variant {
    std::string name;
    int64_t first_layer = 0;
    at::Tensor stream;  // [rows of the largest block, C] float32
  };

  void change(const std::optional<std::string>& variant, const LayerRows& layer_rows,
              const InterventionListener& listener) const;

  std::vector<Job::Intervention> wanted_;
  std::vector<Intervention> interventions_;  // as many
  std::vector<Variant> variants_;
};

}  // namespace actsweep
