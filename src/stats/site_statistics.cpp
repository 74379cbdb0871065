#include "stats/site_statistics.h"

#include <ATen/ATen.h>

#include <deque>

#include "base/error.h"
#include "schema/declare_statistics.h"
#include "schema/quarter_octaves.h"
#include "stats/channel_quantiles.h"
#include "stats/format_statistics.h"
#include "stats/massive_events.h"
#include "stats/quantiser_statistics.h"
#include "stats/register_moments.h"
#include "stats/sequence_extrema.h"
#include "stats/summed_fields.h"
#include "stats/token_extrema.h"

namespace actsweep {

namespace {

std::unique_ptr<Measurement> make_measurement(int64_t channels, int64_t top_k, at::Device device) {
  if (device.is_cpu()) return make_kernel_measurement(channels, top_k);
#ifdef ACTSWEEP_WITH_CUDA
  if (device.is_cuda()) return make_cuda_measurement(channels, top_k);
#endif
  return make_aten_measurement(channels, top_k);
}

/// In the order of the declarations.
std::vector<std::unique_ptr<Statistic>> make_statistics(Site site, const Job& job,
                                                        const Extents& extents, at::Device device) {
  Extents lengths = extents;
  lengths[Axis::kClass] = kClasses;
  lengths[Axis::kRole] = kRoles;
  lengths[Axis::kMagnitudeBin] = kMagnitudeBins;
  std::vector<std::unique_ptr<Statistic>> statistics;
  statistics.push_back(std::make_unique<TokenExtrema>(site, job.output.per_token));
  statistics.push_back(std::make_unique<SequenceExtrema>(site, job.statistics.top_k));
  statistics.push_back(std::make_unique<ChannelMoments>(site, lengths, device));
  statistics.push_back(std::make_unique<MagnitudeHistogram>(site, lengths, device));
  statistics.push_back(std::make_unique<ClassMoments>(site, lengths, device));
  if (job.statistics.classes == Classes::kRole) {
    statistics.push_back(std::make_unique<RoleMoments>(site, lengths, device));
  }
  if (job.statistics.quantisation) {
    statistics.push_back(std::make_unique<QuantiserStatistics>(site, lengths, device));
  }
  if (job.statistics.channel_quantiles) {
    lengths[Axis::kQuarter] = kQuarterOctaves;
    statistics.push_back(std::make_unique<ChannelQuantiles>(site, lengths, device));
  }
  if (const auto& formats = job.statistics.formats; !formats.empty()) {
    lengths[Axis::kFormat] = static_cast<int64_t>(formats.size());
    statistics.push_back(std::make_unique<FormatStatistics>(site, formats, lengths, device));
  }
  if (site != Site::kResidual) return statistics;
  statistics.push_back(std::make_unique<MassiveEvents>(job, lengths, device));
  if (lengths.contains(Axis::kRegister)) {
    statistics.push_back(std::make_unique<RegisterMoments>(lengths, device));
  }
  return statistics;
}

}  // namespace

struct SiteStatistics::State {
  void hand_over_slots();

  int64_t layers = 0;
  int64_t channels = 0;
  int64_t top_k = 0;
  at::Device device = at::kCPU;  // of rows and fields
  std::unique_ptr<Measurement> measurement;
  std::deque<SiteBatch> started;                       // and not finished, in order
  Measured nothing;                                    // of a layer without the site
  std::vector<std::unique_ptr<Statistic>> statistics;  // in the order of the declarations
  std::vector<Slots> slots;                            // [layers] in their fields
};

void SiteStatistics::State::hand_over_slots() {
  slots.assign(static_cast<size_t>(layers), {});
  for (const auto& statistic : statistics) {
    for (int64_t layer = 0; layer < layers; ++layer) statistic->hand_over(layer, slots[layer]);
  }
}

SiteStatistics::SiteStatistics(Site site, const Job& job, const Extents& extents, at::Device device,
                               MeasuredBy measured_by)
    : state_(std::make_unique<State>()) {
  const int64_t top_k = job.statistics.top_k;
  const SiteGroup group = group_of(site, value_width_of(extents));
  const int64_t channels = extents.at(group.channel);
  state_->layers = extents.at(group.layer);
  state_->channels = channels;
  state_->top_k = top_k;
  state_->device = device;
  state_->measurement = measured_by == MeasuredBy::kDefault
                            ? make_measurement(channels, top_k, device)
                            : make_aten_measurement(channels, top_k);
  state_->statistics = make_statistics(site, job, extents, device);
  state_->hand_over_slots();
}

SiteStatistics::~SiteStatistics() = default;

void SiteStatistics::begin_segment() {
  while (!state_->started.empty()) {  // of a segment that was left
    state_->measurement->finish();
    state_->started.pop_front();
  }
  for (auto& statistic : state_->statistics) statistic->begin_segment();
  state_->hand_over_slots();
}

void SiteStatistics::update(const SiteBatch& batch, RowSink& sink, std::vector<Event>& events) {
  const at::Tensor& rows = batch.rows;
  ensure(batch.layer >= 0 && batch.layer < state_->layers, "the layer exists");
  ensure(rows.dim() == 2 && rows.size(0) == batch.labels->row_count(), "every row has labels");
  ensure(rows.size(1) == state_->channels, "rows have the site's channels");
  ensure(rows.scalar_type() == at::kFloat && rows.is_contiguous(), "rows are contiguous float32");
  ensure(rows.device().type() == state_->device.type(), "rows are where the fields are");
  state_->measurement->start(batch, state_->slots[batch.layer]);
  state_->started.push_back(batch);
  if (state_->started.size() == state_->measurement->depth()) finish_first({sink, events});
}

void SiteStatistics::finish(RowSink& sink, std::vector<Event>& events) {
  while (!state_->started.empty()) finish_first({sink, events});
}

void SiteStatistics::finish_first(const Outputs& outputs) {
  const Measured& measured = state_->measurement->finish();
  const SiteBatch batch = std::move(state_->started.front());
  state_->started.pop_front();
  for (auto& statistic : state_->statistics) statistic->update(batch, measured, outputs);
}

void SiteStatistics::skip(const SiteBatch& batch, RowSink& sink) {
  ensure(state_->started.empty(), "a layer is finished before the next one");
  std::vector<Event> none;
  const Outputs outputs = {sink, none};
  state_->nothing.prepare_rows(*batch.labels, state_->top_k);
  for (auto& statistic : state_->statistics) statistic->skip(batch, state_->nothing, outputs);
}

std::vector<Field> SiteStatistics::fields() const {
  std::vector<Field> fields;
  for (const auto& statistic : state_->statistics) {
    for (auto& field : statistic->fields()) fields.push_back(std::move(field));
  }
  return fields;
}

}  // namespace actsweep
