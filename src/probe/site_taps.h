// The taps inside a layer: what a forward pass shows becomes rows that this rank owns.
//
// In: what Forward shows of one micro-batch and layer. Out: a tap for each site that the job asks
// for, one without rows where the layer lacks the site; and what is shown of attention, as it is.
// Before, a stream's interventions change it.
#pragma once

#include <functional>
#include <vector>

#include "model/observer.h"
#include "probe/own_rows.h"
#include "probe/stream_interventions.h"
#include "probe/tap.h"

namespace actsweep {

class SiteTaps : public LayerObserver {
 public:
  struct Listeners {
    std::vector<Site> sites;  // of taps
    TapListener on_tap;
    std::vector<Site> slices;  // shown as they are, in the layout of probe/site.h
    std::function<void(Site site, int64_t layer, const at::Tensor& rows)> on_slice;
    std::function<void(const AttentionView& view)> on_attention;  // empty: not asked for
    std::function<void(const ExpertsView& view)> on_experts;      // empty: not asked for
    /// This rank's rows of the residual stream between mixer and MLP; empty: not asked for.
    std::function<void(const at::Tensor& residual)> on_between;
    /// A layer without softmax attention, and the embedding; empty: not asked for.
    std::function<void(const OwnedRows& labels)> on_no_attention;

    bool wants(Site site) const;  // a tap of it
  };

  /// The architecture and the model group must outlive it.
  SiteTaps(const Architecture& architecture, const Group& group, Listeners listeners,
           StreamInterventions changes);

  /// The labels of the micro-batch that the next stage takes.
  void begin(const OwnedRows& labels) { labels_ = &labels; }
  /// Taps without rows for the sites that layer `layer` (0-based; -1: the embedding) lacks.
  void end(int64_t layer);

  bool wants(Site site) const override;
  bool changes(Site site, int64_t layer) const override;
  void change(Site site, int64_t layer, const at::Tensor& rows) override;
  bool shifts_scores(int64_t layer) const override { return changes_.shift_scores_at(layer + 1); }
  void shift_scores(int64_t layer, const at::Tensor& shift) override {
    changes_.shift_scores(layer + 1, *labels_, shift, group_);
  }
  bool bars_experts(int64_t layer) const override { return changes_.bar_experts_at(layer + 1); }
  void bar_experts(int64_t layer, const at::Tensor& is_barred) override {
    changes_.bar_experts(layer + 1, *labels_, is_barred, group_);
  }
  bool silences_experts(int64_t layer) const override {
    return changes_.silence_experts_at(layer + 1);
  }
  void silence_experts(int64_t layer, const at::Tensor& expert, const at::Tensor& weight) override {
    changes_.silence_experts(layer + 1, *labels_, expert, weight, group_);
  }
  bool wants_attention() const override { return static_cast<bool>(listeners_.on_attention); }
  void see(Site site, int64_t layer, const at::Tensor& rows) override;
  void see_attention(const AttentionView& view) override { listeners_.on_attention(view); }
  bool wants_between() const override { return static_cast<bool>(listeners_.on_between); }
  void see_between(const at::Tensor& residual) override { listeners_.on_between(residual); }
  bool wants_experts() const override { return static_cast<bool>(listeners_.on_experts); }
  void see_experts(const ExpertsView& view) override { listeners_.on_experts(view); }

 private:
  const Architecture& a_;
  const Group& group_;
  Listeners listeners_;
  StreamInterventions changes_;
  OwnRows own_rows_;
  const OwnedRows* labels_ = nullptr;
};

}  // namespace actsweep
