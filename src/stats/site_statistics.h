// The statistics of one site: what a layer's rows become.
//
// In: the rows of one micro-batch that this rank owns, with their labels. Out: rows per token and
// per sequence (handed to a RowSink at once), events, and per-layer fields that add up over a
// segment. CPU tensors go through the vectorised kernels, tile by tile; CUDA tensors through CUDA
// kernels; tensors of any device can go through ATen's operators. All give the same results.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "measure/measurement.h"
#include "schema/declare.h"
#include "schema/event.h"
#include "stats/field_set.h"
#include "stats/row_sink.h"
#include "stats/statistic.h"

namespace actsweep {

/// What measures a micro-batch. By default its device's kernels; ATen's operators where a device
/// has none.
enum class MeasuredBy { kDefault, kAten };

class SiteStatistics : public SegmentFields {
 public:
  /// `extents` has the lengths of the site's layer and channel axes, and that of the registers
  /// where the model has them. Fields live on `device`.
  SiteStatistics(Site site, const Job& job, const Extents& extents, at::Device device,
                 MeasuredBy measured_by = MeasuredBy::kDefault);
  ~SiteStatistics() override;

  void begin_segment() override;
  /// Measures one micro-batch. Appends its rows to `sink` and its events, in the file's order
  /// (sequence, falling magnitude), to `events`: at once, or where the device still works on it in
  /// a later call. Until then its labels and the residual stream's rows must stay as they are.
  void update(const SiteBatch& batch, RowSink& sink, std::vector<Event>& events);
  /// A layer without the site: rows as of tokens that are not finite, and nothing else.
  void skip(const SiteBatch& batch, RowSink& sink);
  /// Appends what is outstanding.
  void finish(RowSink& sink, std::vector<Event>& events);
  std::vector<Field> fields() const override;

 private:
  void finish_first(const Outputs& outputs);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace actsweep
