// What lets the positions of a layer see each other, from the gathered rows to the input of the
// output projection: softmax attention, or what stands in its place. One interface for all of them;
// a layer's kind is a fact of the architecture.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kernels/rotary.h"
#include "model/observer.h"
#include "weights/stage.h"

namespace actsweep {

/// The sequences in the gathered rows of one micro-batch.
struct Sequences {
  int64_t positions = 0;               // T, rows per sequence with padding
  std::vector<int64_t> length;         // without; empty where no rope of the model follows it
  std::vector<int64_t> key_ends = {};  // [rows] where the keys end that a row sees of its sequence;
                                       // empty: behind itself
  at::Tensor keys = {};  // [n, 2 Hkv D] of the layer's gathered rows, rotated keys and values: to be
                         // filled by a layer that gives them to others, filled for one that takes
                         // them; else undefined
};

/// Gathered rows of a micro-batch on their way through a mixer.
struct MixerRows {
  const at::Tensor& in;  // [n, C]
  at::Tensor wide;       // [n, wide_width], for what the mixer projects
  at::Tensor out;        // [n, out_width]
};

/// What all mixers of a pass are made for.
struct MixerOptions {
  int64_t positions = 0;  // of the longest window
  PatchGrid grid = {};    // of its patches, where the model reads images
  at::Device device = at::kCPU;
};

/// The projection from a mixer's outputs to what it adds to the stream.
struct OutputWeights {
  Weight product = Weight::kAttentionOutput;
  Weight bias = Weight::kAttentionOutputBias;
};

class Mixer {
 public:
  virtual ~Mixer() = default;

  virtual OutputWeights output() const { return {}; }

  /// Elements of a row of the mixer's buffer and of its outputs; 0 on a rank without heads.
  virtual int64_t wide_width() const = 0;
  virtual int64_t out_width() const = 0;

  /// Collective over the model group. Fills rows.out; shows the layer's inside.
  virtual void run(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
                   MixerRows& rows) = 0;
};

}  // namespace actsweep
