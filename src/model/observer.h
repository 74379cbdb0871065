// What a forward pass shows of a layer's inside, as it comes about, to whoever measures it or
// changes it.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "job/job.h"
#include "kernels/attention.h"

namespace actsweep {

/// The channels of a head in a buffer whose heads are all of one width; those behind them are 0.
struct HeadPlaces {
  int64_t query = 0;   // of a query and of a key
  int64_t value = 0;   // of a value and of what a head gives
  int64_t turned = 0;  // as many of the first of a query and a key are the model's last
};

/// Attention of one layer and micro-batch after it was computed, for this rank's heads.
struct AttentionView {
  int64_t layer;                    // 0-based
  const at::Tensor& qkv;            // [n, (query heads + 2 key heads) D], after rotary; n: gathered
  const AttentionCall& call;        // rows of all members, whole sequences
  const AttentionSummary& summary;  // empty where the rank has no heads
  const at::Tensor& output_weight;  // [C, query heads * value] of the output projection
  HeadPlaces places;
  at::Tensor gate = {};  // [n, query heads * value] behind its sigmoid, where there is one
};

/// What some routed experts of this rank give for the gathered rows that chose them. Of the i-th of
/// them are rows [first[i], first[i + 1]) of `row` and `output`, and as many rows of `input` and
/// `hidden` from begin[i] on.
struct ExpertsView {
  int64_t layer;                      // 0-based
  int64_t first_expert;               // of all of the layer; the others follow
  const std::vector<int64_t>& first;  // [experts + 1]
  const std::vector<int64_t>& begin;  // [experts or more]
  const at::Tensor& row;              // [rows] int64: which of the gathered rows; an expert's rise
  const at::Tensor& input;            // [places, C]
  const at::Tensor& hidden;  // [places, neurons of an expert], input of the down projections
  const at::Tensor& output;  // [rows, C], before their weights
  const at::Tensor& gate;    // [rows] float32: the router's weights
  bool gates_input;          // what the experts read is weighted, and not their output

  int64_t experts() const { return static_cast<int64_t>(first.size()) - 1; }
};

/// Every method but see_experts is called by all members of the model group alike, so it may be
/// collective. A tensor is valid during the call alone.
class LayerObserver {
 public:
  virtual ~LayerObserver() = default;
  virtual bool wants(Site site) const = 0;
  virtual bool wants_attention() const = 0;
  virtual bool changes(Site site, int64_t layer) const = 0;
  /// Overwrites some of the rows that `see` is shown then, and of which the layer goes on.
  virtual void change(Site site, int64_t layer, const at::Tensor& rows) = 0;
  virtual bool shifts_scores(int64_t layer) const = 0;
  /// Writes what is added to the scores of all queries on the gathered rows' keys: [n, key/value
  /// heads of the layer] float32, of zeros.
  virtual void shift_scores(int64_t layer, const at::Tensor& shift) = 0;
  virtual bool bars_experts(int64_t layer) const = 0;
  /// Sets to 1 which routed experts the gathered rows may not choose: [n, experts] int64, of zeros.
  virtual void bar_experts(int64_t layer, const at::Tensor& is_barred) = 0;
  virtual bool silences_experts(int64_t layer) const = 0;
  /// Sets some of the weights of the routed experts that the gathered rows have chosen to 0; both
  /// [n, chosen].
  virtual void silence_experts(int64_t layer, const at::Tensor& expert,
                               const at::Tensor& weight) = 0;
  /// `rows` of any dtype, laid out as probe/site.h has it: the rows that this rank owns, whole, or
  /// its slice of all gathered rows.
  virtual void see(Site site, int64_t layer, const at::Tensor& rows) = 0;
  virtual void see_attention(const AttentionView& view) = 0;
  virtual bool wants_between() const = 0;
  /// `residual` [rows, C] float32: the owned rows of the stream when the mixer has added to it, and
  /// the MLP has not.
  virtual void see_between(const at::Tensor& residual) = 0;
  virtual bool wants_experts() const = 0;
  virtual void see_experts(const ExpertsView& view) = 0;
};

/// A layer's way to its observer; shows nothing without one.
struct LayerView {
  LayerObserver* observer = nullptr;
  int64_t layer = 0;  // 0-based

  bool changes(Site site) const { return observer != nullptr && observer->changes(site, layer); }
  bool shifts_scores() const { return observer != nullptr && observer->shifts_scores(layer); }
  bool bars_experts() const { return observer != nullptr && observer->bars_experts(layer); }
  bool silences_experts() const { return observer != nullptr && observer->silences_experts(layer); }
  bool wants(Site site) const {
    return observer != nullptr && (observer->wants(site) || observer->changes(site, layer));
  }
  bool wants_attention() const { return observer != nullptr && observer->wants_attention(); }
  bool wants_between() const { return observer != nullptr && observer->wants_between(); }
  /// The layer must go on with `rows` themselves: the observer may change them.
  void show(Site site, const at::Tensor& rows) const {
    if (changes(site)) observer->change(site, layer, rows);
    if (observer != nullptr && observer->wants(site)) observer->see(site, layer, rows);
  }
};

}  // namespace actsweep
