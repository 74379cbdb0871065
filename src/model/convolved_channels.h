// A short convolution as a mixer (LFM2): of three projections of the rows the first gates what is
// convolved, and the second what comes of it.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/mixer.h"
#include "weights/share.h"

namespace actsweep {

class ConvolvedChannels : public Mixer {
 public:
  explicit ConvolvedChannels(const ModelShare& share) : channels_(share.convolved.size()) {}

  int64_t wide_width() const override { return 3 * channels_; }
  int64_t out_width() const override { return channels_; }
  void run(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
           MixerRows& rows) override;

 private:
  int64_t channels_;  // of the rank
};

}  // namespace actsweep
