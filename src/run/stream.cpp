#include "run/stream.h"

#include <ATen/ATen.h>

#include "plan/products.h"

namespace actsweep {
namespace {

/// Those of the original, or of a variant.
StreamInterventions interventions_of(const Job& job, const std::vector<Intervention>& all,
                                     const std::optional<std::string>& variant) {
  std::vector<StreamIntervention> chosen;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& of = job.interventions[i].variant;
    if (of && of != variant) continue;
    chosen.push_back({i, of == variant, all[i]});
  }
  return StreamInterventions(std::move(chosen));
}

Stream make_stream(int64_t first_layer, StreamInterventions interventions, const Architecture& a,
                   const ModelShare& share, const StreamRoom& room) {
  std::optional<ExpertBlock> experts;
  if (a.experts.count > 0) experts.emplace(a, room.gathered_rows, room.members, room.options);
  return {first_layer, std::move(interventions),
          at::empty({room.rows, a.channels}, room.options.dtype(at::kFloat)), std::move(experts),
          KeptKeys(a, share, room.members * room.rows, room.options)};
}

}  // namespace

Stream::Stream(int64_t first_layer, StreamInterventions interventions, at::Tensor rows,
               std::optional<ExpertBlock> experts, KeptKeys keys)
    : first_layer_(first_layer),
      interventions_(std::move(interventions)),
      rows_(std::move(rows)),
      experts_(std::move(experts)),
      keys_(std::move(keys)) {}

void Stream::listen(const Listeners& listeners, const Architecture& architecture,
                    const Group& group) {
  listeners_ = listeners;
  interventions_.tell(listeners.on_intervention);
  taps_.emplace(architecture, group, listeners.taps, interventions_);
}

at::Tensor Stream::rows_of(const BlockLabels& labels, size_t batch) const {
  return rows_.narrow(0, labels.first_row(batch), labels.own[batch].row_count());
}

void Stream::copy_rows(const Stream& original, const BlockLabels& labels, size_t batch) {
  rows_of(labels, batch).copy_(original.rows_of(labels, batch));
}

at::Tensor Stream::keys_of(int64_t layer, const BlockLabels& labels, size_t batch,
                           int64_t members, const Stream& original) const {
  const int64_t giver = keys_.giver_of(layer);
  if (giver < 0) return {};
  const auto& keys = giver < first_layer_ ? original.keys_ : keys_;
  return keys.of(layer, members * labels.first_row(batch),
                 members * labels.own[batch].row_count());
}

void Stream::begin_layer(const BlockLabels& labels, Share batches, int64_t members) {
  batches_ = batches;
  expert_rows_.assign(batches.size(), {});
  if (!experts_) return;
  int64_t first = 0;
  for (int64_t batch = batches.begin; batch < batches.end; ++batch) {
    const int64_t count = labels.own[batch].row_count() * members;
    experts_of(batch) = experts_->rows(first, count);
    first += count;
  }
}

void Stream::intervene(LayerRows behind, const Group& group) const {
  interventions_.apply(Site::kResidual, behind.layer, behind.labels, behind.rows, group);
}

ChangedWeights Stream::change_weights(int64_t layer, const OwnedRows& labels,
                                      const StageWeights& weights, Share neurons) const {
  return interventions_.change_weights(layer + 1, labels, weights[Weight::kDown], neurons);
}

std::vector<Stream> make_streams(const Job& job, const std::vector<Intervention>& interventions,
                                 const Architecture& a, const ModelShare& share,
                                 const StreamRoom& room) {
  std::vector<Stream> streams;
  streams.push_back(
      make_stream(0, interventions_of(job, interventions, std::nullopt), a, share, room));
  for (const auto& name : job.variants()) {
    streams.push_back(make_stream(first_layer_of(job, name),
                                  interventions_of(job, interventions, name), a, share, room));
  }
  return streams;
}

}  // namespace actsweep
