// Stages: the pieces in which weights are present together - a layer, the experts of a layer a few
// at a time, or the head that the loss needs.
//
// A layout places a rank's slice of each weight of a stage in one buffer, at 64-byte-aligned
// offsets, in both weight modes alike. Pure arithmetic; `load_stage` then fills a buffer from the
// map.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/tensor_rows.h"
#include "job/job.h"
#include "weights/share.h"

namespace actsweep {

at::ScalarType scalar_type(Dtype dtype);

/// A stored tensor as a tensor over the map, of its own dtype, not to be written to.
at::Tensor mapped_tensor(const StoredTensor& stored);

/// Which weights of a rank are present together.
struct Stage {
  int64_t layer = 0;     // 0-based; L: the head
  Share experts = {};    // by their numbers in the layer
  bool is_first = true;  // of its layer: attention, router, shared expert, the norms before them
  bool is_last = true;   // of its layer: what its sum meets on the way to the residual stream
};

/// Where a weight lies in its stage's buffer. Absent where the architecture has none.
struct WeightPlace {
  std::vector<int64_t> shape;  // of this rank
  at::ScalarType dtype = at::kFloat;
  int64_t offset = 0;  // bytes
  bool is_present = false;
};

/// A row's slice: which units of the stored tensor go to which rows of the weight.
struct PartPlace {
  TensorRow row;
  Share units;
  int64_t first_row = 0;  // of the weight
};

class StageLayout {
 public:
  /// For the rank that holds `share`.
  StageLayout(const std::vector<TensorRow>& rows, const Architecture& architecture,
              const ModelShare& share, Dtype dtype, const Stage& stage);

  int64_t bytes() const { return bytes_; }
  const WeightPlace& place(Weight weight) const { return places_[static_cast<int>(weight)]; }
  const std::vector<PartPlace>& parts() const { return parts_; }

 private:
  void add(const TensorRow& row, const ModelShare& share, Dtype dtype);
  void assign_offsets();

  std::array<WeightPlace, kWeights> places_;
  std::vector<PartPlace> parts_;
  int64_t bytes_ = 0;
};

/// The weights of one stage as views into its buffer.
class StageWeights {
 public:
  StageWeights() = default;
  /// `buffer`: [layout.bytes()] uint8, 64-byte aligned.
  StageWeights(const StageLayout& layout, const at::Tensor& buffer);
  bool has(Weight weight) const { return weights_[static_cast<int>(weight)].defined(); }
  const at::Tensor& operator[](Weight weight) const { return weights_[static_cast<int>(weight)]; }

 private:
  std::array<at::Tensor, kWeights> weights_;
};

/// Fills a host buffer with the weights of a stage of layer `layer`, converted to their dtypes.
void load_stage(const Checkpoint& checkpoint, const StageLayout& layout, int64_t layer,
                at::Tensor& buffer);

/// One weight of the dense down projection of layer `layer` (0-based): from a neuron to a channel.
float down_weight(const Checkpoint& checkpoint, int64_t layer, int64_t neuron, int64_t channel);

}  // namespace actsweep
