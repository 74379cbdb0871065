// Everything that one model group measures in the pass of a segment, and how the pass hands it
// over.
//
// In: blocks of labels, and what the layers show. Out: rows and events at once; fields per layer
// that add up over a segment, to be reduced over the group.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "comm/group.h"
#include "run/residual_history.h"
#include "run/row_collector.h"
#include "run/stored_rows.h"
#include "run/stream.h"
#include "stats/attention_received.h"
#include "stats/attention_statistics.h"
#include "stats/expert_statistics.h"
#include "stats/geometry.h"
#include "stats/image_scores.h"
#include "stats/intervention_statistics.h"
#include "stats/lifecycle.h"
#include "stats/loss_statistics.h"
#include "stats/query_key.h"
#include "stats/request_scores.h"
#include "stats/score_extrema.h"
#include "stats/site_statistics.h"
#include "stats/token_experts.h"
#include "stats/value_updates.h"

namespace actsweep {

class Measurements {
 public:
  Measurements(const SweepInputs& inputs, const Group& group, at::Device device);

  void begin_segment();
  /// The block whose layers come next. All must outlive it; `store` is null where the job has none.
  void begin_block(const BlockLabels& labels, RowCollector& rows, StoredRows* store);
  /// What the pass calls of the original and of each variant of the job.
  std::vector<Stream::Listeners> listeners();
  /// To be called when all micro-batches have passed a layer, before its rows are written.
  void end_layer();
  /// Of the block, in the order of the layers.
  const std::vector<Event>& events() const { return events_; }
  std::vector<Field> fields() const;

 private:
  SiteTaps::Listeners taps();
  Stream::Listeners original();
  Stream::Listeners variant(size_t number);
  void tap(const Tap& tap);
  void see_residual(const Tap& tap, SiteBatch& batch);
  void see_between(const at::Tensor& rows);
  void see_attention(const AttentionView& view);
  void look_again(const AttentionView& view, const at::Tensor& is_finite);
  void see_slice(Site site, int64_t layer, const at::Tensor& rows);
  void gather_events(size_t batch, int64_t layer);
  void add_batch(const std::vector<OwnedRows>& members);

  const SweepInputs& inputs_;
  const Group& group_;
  at::Device device_;
  ModelShare share_;
  KeySets key_sets_;
  std::map<Site, SiteStatistics> sites_;
  std::optional<LossStatistics> loss_;
  std::optional<RequestScores> requests_;  // of tasks
  std::optional<ImageScores> classes_;     // of images
  std::optional<InterventionStatistics> interventions_;
  std::optional<AttentionStatistics> attention_;
  std::optional<AttentionReceived> received_;
  std::optional<ScoreExtrema> extrema_;
  std::optional<ValueUpdates> value_updates_;
  std::optional<QueryKeyMoments> query_key_;
  std::optional<ExpertStatistics> experts_;
  std::optional<Geometry> geometry_;
  std::optional<Lifecycle> lifecycle_;
  std::optional<TokenExperts> token_experts_;
  std::vector<SegmentFields*> all_;  // of these, those that the job asks for

  const BlockLabels* labels_ = nullptr;
  RowCollector* rows_ = nullptr;
  StoredRows* store_ = nullptr;
  std::vector<Event> events_;
  std::optional<ResidualHistory> history_;  // of a job with geometry or event_updates
  size_t batch_ = 0;                        // whose layer runs
  /// What all layers of a micro-batch use of its sequences, of all members.
  struct Batch {
    GatheredSequences sequences;
    std::optional<KeyGroups> keys;
    std::optional<QueryKeyGroups> query_key;
  };
  std::vector<std::unique_ptr<Batch>> batches_;  // [micro-batch] where they are needed
  at::Tensor is_event_;                          // [gathered rows] int64 on the host
};

}  // namespace actsweep
