// What a forward pass shows of a layer's inside, as it comes about, to whoever measures it.
#pragma once

#include <ATen/core/Tensor.h>

#include "job/job.h"
#include "kernels/attention.h"

namespace actsweep {

/// Attention of one layer and micro-batch after it was computed, for this rank's heads.
struct AttentionView {
  int64_t layer;                    // 0-based
  const at::Tensor& qkv;            // [n, (query heads + 2 key heads) D], after rotary; n: gathered
  const AttentionCall& call;        // rows of all members, whole sequences
  const AttentionSummary& summary;  // empty where the rank has no heads
  const at::Tensor& output_weight;  // [C, query heads * D] of the output projection
};

/// What one routed expert of this rank gives for the gathered rows that chose it.
struct ExpertView {
  int64_t layer;             // 0-based
  int64_t expert;            // of all of the layer
  const at::Tensor& row;     // [rows] int64: which of the gathered rows
  const at::Tensor& input;   // [rows, C]
  const at::Tensor& hidden;  // [rows, neurons of an expert], input of its down projection
  const at::Tensor& output;  // [rows, C], before its weight
};

/// Every method but see_expert is called by all members of the model group alike, so it may be
/// collective. A tensor is valid during the call alone.
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  virtual bool wants(Site site) const = 0;
  virtual bool wants_attention() const = 0;
  /// `rows` of any dtype, laid out as probe/site.h has it: the rows that this rank owns, whole, or
  /// its slice of all gathered rows.
  virtual void see(Site site, int64_t layer, const at::Tensor& rows) = 0;
  virtual void see_attention(const AttentionView& view) = 0;
  virtual bool wants_experts() const = 0;
  virtual void see_expert(const ExpertView& view) = 0;
};

/// A layer's way to its observer; shows nothing without one.
struct LayerView {
  LayerObserver* observer = nullptr;
  int64_t layer = 0;  // 0-based

  bool wants(Site site) const { return observer != nullptr && observer->wants(site); }
  bool wants_attention() const { return observer != nullptr && observer->wants_attention(); }
  void show(Site site, const at::Tensor& rows) const {
    if (wants(site)) observer->see(site, layer, rows);
  }
};

}  // namespace actsweep
