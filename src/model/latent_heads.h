// Latent attention (arXiv 2405.04434) up to its heads' outputs.
//
// Latents are computed whole on every rank; a rank's heads are made of them. Heads stand in the
// buffer in one width, that of keys or of values, the narrower filled up with zeros; the rotated
// channels of a query and a key come first, which leaves their product as it is. What is shown of
// heads has the model's widths and order.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/architecture.h"
#include "kernels/attention.h"
#include "kernels/ops.h"
#include "kernels/rotary.h"
#include "model/mixer.h"
#include "weights/share.h"
#include "weights/stage.h"

namespace actsweep {

class LatentHeads : public Mixer {
 public:
  /// All must outlive the heads. `positions`: of the longest window.
  LatentHeads(const Architecture& architecture, const ModelShare& share, int64_t positions,
              at::Device device);

  int64_t wide_width() const override;
  int64_t out_width() const override;

  void run(const StageWeights& weights, const LayerView& view, const Sequences& sequences,
           MixerRows& rows) override;

 private:
  struct Layer;
  bool has_heads() const { return share_.query_heads.size() > 0; }
  void normalise(const at::Tensor& weight, at::Tensor& latent) const;
  at::Tensor query_latent(const Layer& layer) const;
  at::Tensor key_value_latent(const Layer& layer) const;
  at::Tensor make_heads(const Layer& layer, Weight weight, const at::Tensor& latent,
                        int64_t heads) const;
  void place_queries(const Layer& layer) const;
  void place_keys_and_values(const Layer& layer) const;
  void place_keys(const Layer& layer, at::Tensor own, at::Tensor rotated) const;
  at::Tensor show_heads(const Layer& layer, Site site, const at::Tensor& heads) const;
  void rotate(int64_t layer, const Sequences& sequences, at::Tensor& qkv);
  AttentionCall call_of(int64_t layer, const Sequences& sequences) const;
  void attend_heads(const AttentionCall& call, const at::Tensor& shift, MixerRows& rows,
                    AttentionSummary* summary) const;

  const Architecture& a_;
  const ModelShare& share_;
  const RowOps& ops_;  // of the device
  RotaryTables rotary_;
};

}  // namespace actsweep
