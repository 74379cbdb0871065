#include "plan/demand.h"

#include <algorithm>
#include <numeric>

#include "job/token_sample.h"
#include "kernels/product_widened.h"
#include "kernels/second_look.h"
#include "measure/channel_histogram.h"
#include "measure/format_errors.h"
#include "measure/quantiser_rows.h"
#include "model/expert_block.h"
#include "model/kept_keys.h"
#include "model/layer_embedding.h"
#include "model/loss.h"
#include "model/mixers.h"
#include "model/workspace.h"
#include "output/layout.h"
#include "plan/device_memory.h"
#include "probe/site.h"
#include "schema/declare_statistics.h"
#include "stats/participation.h"
#include "stats/sequence_groups.h"
#include "weights/share.h"
#include "weights/stage_list.h"

namespace actsweep {
namespace {

static_assert(kSegmentUnit == kChunkRows);

/// The rank whose share is widest: the last one, by the rounding of cut_evenly.
ModelShare widest_share(const Architecture& architecture, int64_t members) {
  return share_of(architecture, members, members - 1);
}

bool has_axis(const Dataset& dataset, Axis axis) {
  return std::find(dataset.axes.begin(), dataset.axes.end(), axis) != dataset.axes.end();
}

/// Bytes of a dataset, with events and rows counted as none.
int64_t dataset_bytes(const SweepFacts& facts, const Dataset& dataset) {
  int64_t bytes = size_of(dataset.type);
  for (const auto axis : dataset.axes) bytes *= axis_length(facts, axis);
  return bytes;
}

/// Bytes that one token (or sequence) adds to one layer of the row datasets along `axis`.
int64_t row_bytes(const SweepFacts& facts, Axis axis) {
  int64_t bytes = 0;
  for (const auto& dataset : facts.datasets) {
    if (dataset.merge != Merge::kRows || !has_axis(dataset, axis)) continue;
    int64_t row = size_of(dataset.type);
    for (const auto other : dataset.axes) {
      if (other != axis && other != Axis::kLayer) row *= axis_length(facts, other);
    }
    bytes += row;
  }
  return bytes;
}

/// The same of all layers and variants together.
int64_t whole_row_bytes(const SweepFacts& facts, Axis axis) {
  int64_t bytes = 0;
  for (const auto& dataset : facts.datasets) {
    if (dataset.merge != Merge::kRows || !has_axis(dataset, axis)) continue;
    int64_t row = size_of(dataset.type);
    for (const auto other : dataset.axes) row *= other == axis ? 1 : axis_length(facts, other);
    bytes += row;
  }
  return bytes;
}

/// Rows of chunks that wait for the next block, at most: of a rank's segment, up to a chunk.
int64_t waiting_bytes(const SweepFacts& facts, int64_t members, int64_t block_windows) {
  const auto& segments = facts.segments;
  const int64_t length = facts.job.corpus.sequence_length;
  const int64_t windows =
      (std::min(segments.windows_per_segment, segments.windows) + members - 1) / members;
  const int64_t stored = std::min(windows * length * stored_token_bytes(facts),
                                  axis_length(facts, Axis::kStoredLayer) * kStoredChunkBytes *
                                      static_cast<int64_t>(facts.job.store.sites.size()));
  if (block_windows >= segments.windows_per_segment) return stored;
  return stored + std::min(kChunkRows, windows * length) * whole_row_bytes(facts, Axis::kToken) +
         std::min(kChunkRows, windows) * whole_row_bytes(facts, Axis::kSequence);
}

int64_t field_bytes(const SweepFacts& facts) {
  int64_t bytes = 0;
  for (const auto& dataset : facts.datasets) {
    if (is_field(dataset)) bytes += dataset_bytes(facts, dataset);
  }
  return bytes;
}

/// Of each stage of a pass.
std::vector<int64_t> stage_bytes(Dtype dtype, const Architecture& a,
                                 const std::vector<TensorRow>& rows, const ModelShare& share,
                                 bool with_head) {
  std::vector<int64_t> bytes;
  for (const auto& stage : list_stages(rows, a, share, dtype, with_head)) {
    bytes.push_back(StageLayout(rows, a, share, dtype, stage).bytes());
  }
  return bytes;
}

int64_t sum_of(const std::vector<int64_t>& bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
}

int64_t largest_stage(const SweepFacts& facts, const ModelShare& share) {
  const auto bytes = stage_bytes(facts.job.model.dtype, facts.architecture, facts.rows, share,
                                 facts.job.needs_head());
  return bytes.empty() ? 0 : *std::max_element(bytes.begin(), bytes.end());
}

int64_t weight_bytes(const Job& job, const Architecture& a, const std::vector<TensorRow>& rows,
                     const ModelShare& share, bool with_head) {
  const auto stages = stage_bytes(job.model.dtype, a, rows, share, with_head);
  if (job.parallel.weights == WeightMode::kResident) return sum_of(stages);
  return stages.empty() ? 0 : 2 * *std::max_element(stages.begin(), stages.end());
}

/// The tower's weights, and the images that pass it together.
void add_tower(const SweepFacts& facts, MemoryDemand& demand) {
  if (!facts.tower) return;
  const auto& a = facts.tower->architecture;
  const auto whole = share_of(a, 1, 0);
  const int64_t rows = facts.tower->images_together * facts.tower->tokens_per_image;
  demand.weights += weight_bytes(facts.job, a, facts.tower->rows, whole, true);
  demand.workspace += workspace_bytes(a, whole, {rows, 1, scalar_type(facts.job.model.dtype)});
  // The tower's rows, their features, and what the projector makes of them.
  demand.workspace += rows * (2 * a.channels + 3 * facts.architecture.channels) * 4;
}

/// Stored activations, and what waits to be written: of tokens that are known those of one site and
/// layer, with a copy; of those with an event the whole block's, and what a site's become, of which
/// two copies of a layer.
int64_t store_bytes(const SweepFacts& facts, int64_t owned_tokens, int64_t owned_rows) {
  const auto& store = facts.job.store;
  if (store.sites.empty()) return 0;
  int64_t widest = 0;
  for (const Site site : store.sites) {
    const auto group = group_of(site, value_width_of(facts.architecture));
    widest = std::max(widest, axis_length(facts, group.channel));
  }
  if (sample_of(store).is_known()) return kWriteQueueBytes + 2 * owned_rows * widest * 4;
  const int64_t layer_bytes = widest * size_of(store.dtype);
  return kWriteQueueBytes +
         owned_tokens * (stored_token_bytes(facts) +
                         (axis_length(facts, Axis::kStoredLayer) + 2) * layer_bytes);
}

/// The queries, keys and values of a sequence in float32 and their copies, and as many sequences
/// together as a group on a GPU holds.
int64_t group_bytes(const SweepFacts& facts, int64_t heads, int64_t rows) {
  const int64_t channels = heads * facts.architecture.widest_head();
  const int64_t one = 6 * facts.job.corpus.sequence_length * channels * 4;
  if (!facts.pads_groups) return one;
  return std::max(one, kGroupElementBytes * std::min(kGroupElements, rows * channels));
}

/// Of the original's rows: before the layer, and between its mixer and its MLP.
int64_t history_copies(const Job& job) {
  if (job.statistics.event_updates) return 2;
  return job.statistics.geometry ? 1 : 0;
}

/// A shuffle takes the rows of all members.
int64_t donor_bytes(const SweepFacts& facts, const WorkspaceShape& shape) {
  int64_t widest = 0;
  for (const auto& intervention : facts.job.interventions) {
    if (intervention.action != Action::kShuffle) continue;
    widest = std::max(widest, site_width(facts.architecture, intervention.site));
  }
  return shape.gathered_rows() * widest * 4;
}

/// What a rank keeps beside the work space of a micro-batch to look inside the layers, or to change
/// them: a site's rows on their way to their owner, the summary of attention, value updates.
int64_t observed_bytes(const SweepFacts& facts, const ModelShare& share,
                       const WorkspaceShape& shape) {
  const auto& a = facts.architecture;
  const auto& statistics = facts.job.statistics;
  int64_t owned = 0, slice = 0;  // elements of a row
  auto sites = statistics.sites;
  if (!facts.job.capture.prompts.empty()) {
    sites.insert(sites.end(), facts.job.capture.sites.begin(), facts.job.capture.sites.end());
  }
  sites.insert(sites.end(), facts.job.store.sites.begin(), facts.job.store.sites.end());
  for (const auto& intervention : facts.job.interventions) sites.push_back(intervention.site);
  for (const Site site : sites) {
    if (site == Site::kResidual) continue;
    owned = std::max(owned, axis_length(facts, group_of(site, value_width_of(a)).channel));
    const auto layout = layout_of(site);
    if (layout == SiteLayout::kNeurons) {
      slice = std::max(slice, most_dense_neurons(share));
    } else if (layout != SiteLayout::kOwned && layout != SiteLayout::kShared) {
      slice = std::max(slice, share.query_heads.size() * a.widest_head());
    }
  }
  int64_t bytes = shape.owned_rows * owned * 4 + donor_bytes(facts, shape);
  if (shape.members > 1) bytes += 2 * shape.gathered_rows() * slice * 4;
  if (facts.job.sees_gathered_rows()) {
    // Log-sum-exp and entropy; queries in float32 and the norms of values.
    const int64_t heads = share.query_heads.size();
    bytes += shape.gathered_rows() * heads * 2 * 4;
    if (shape.dtype != at::kFloat) bytes += shape.gathered_rows() * heads * a.widest_head() * 4;
    bytes += shape.gathered_rows() * share.key_heads.size() * 8;
    bytes += group_bytes(facts, heads, shape.gathered_rows());
  }
  if (statistics.geometry) {
    bytes += participation_bytes(facts.job.corpus.sequence_length, a.channels, facts.pads_groups);
  }
  if (statistics.attention_received) {
    // By key and head: what each chunk of queries gave, and means and candidates made of it.
    constexpr int64_t kMeanBytes = 3 * 4 + 2 * 8;
    const int64_t chunks = look_chunks(facts.job.corpus.sequence_length);
    bytes += shape.gathered_rows() * share.query_heads.size() * (4 * chunks + kMeanBytes);
  }
  if (facts.pads_groups) {  // of what is measured by ATen's operators, a part of the rows at a time
    int64_t of_value = statistics.quantisation ? kTogetherBytes : 0;
    if (statistics.channel_quantiles) of_value = std::max(of_value, kHistogramBytes);
    if (!statistics.formats.empty()) of_value = std::max(of_value, kFormatBytes);
    bytes += of_value * std::min(kTogetherValues, shape.owned_rows * std::max(owned, a.channels));
  }
  if (statistics.value_updates) {
    bytes += shape.gathered_rows() * a.channels * 4 + shape.owned_rows * a.channels * (4 + 8 + 8);
  }
  return bytes;
}

}  // namespace

int64_t stored_token_bytes(const SweepFacts& facts) { return row_bytes(facts, Axis::kStoredRow); }

int64_t loaded_bytes(const SweepFacts& facts, const ModelShare& share) {
  const auto& job = facts.job;
  return sum_of(
      stage_bytes(job.model.dtype, facts.architecture, facts.rows, share, job.needs_head()));
}

MemoryDemand memory_demand(const SweepFacts& facts, int64_t members, int64_t threads,
                           int64_t block_windows) {
  const auto& a = facts.architecture;
  const auto share = widest_share(a, members);
  const int64_t length = facts.job.corpus.sequence_length;
  const int64_t owned_tokens = (block_windows + members - 1) / members * length;
  const int64_t owned_rows = facts.segments.windows_per_microbatch / members * length;

  MemoryDemand demand;
  demand.weights = weight_bytes(facts.job, a, facts.rows, share, facts.job.needs_head());
  add_tower(facts, demand);
  const auto streams = 1 + static_cast<int64_t>(facts.job.variants().size());
  const int64_t copies = history_copies(facts.job);
  demand.residual = (streams + copies) * owned_tokens * a.channels * 4;
  const WorkspaceShape shape = {owned_rows, members, scalar_type(facts.job.model.dtype)};
  demand.residual += streams * kept_key_bytes(a, share, members * owned_tokens, shape.dtype);
  demand.residual += layer_embedding_bytes(a, owned_tokens, 0, shape.dtype);
  demand.workspace = workspace_bytes(a, share, shape) + observed_bytes(facts, share, shape);
  demand.workspace += layer_embedding_bytes(a, 0, owned_rows, shape.dtype);
  demand.workspace += mixer_bytes(a, share, shape.gathered_rows(), length);
  if (facts.widens_products) demand.workspace += threads * kWidenedBytes;
  const bool is_streamed = facts.job.parallel.weights == WeightMode::kStreamed;
  demand.workspace +=
      streams * expert_block_bytes(a, members * (is_streamed ? owned_tokens : owned_rows), members,
                                   scalar_type(facts.job.model.dtype));
  if (facts.job.statistics.loss) {
    // Logits, their exponentials in the log-sum-exp, and a quarter for gathered rows and the
    // product's own (measured).
    const int64_t logits = owned_rows * members * share.vocabulary.size() * 4;
    demand.workspace += 9 * std::min(logits, kLogitBytes) / 4;
  }

  const RowsAndFields all = {
      field_bytes(facts),
      owned_tokens * row_bytes(facts, Axis::kToken) +
          owned_tokens / length * row_bytes(facts, Axis::kSequence),
      (a.layers + 1) * owned_tokens * row_bytes(facts, Axis::kRow),
      store_bytes(facts, owned_tokens, owned_rows) + waiting_bytes(facts, members, block_windows)};
  if (!facts.pads_groups) {
    add_to_cpu(all, threads, a.layers, demand);
    return demand;
  }
  add_to_gpu(all, a.layers, demand);
  demand.attention = attention_bytes(facts, share, shape);
  demand.collectives = collective_bytes(members);
  demand.host.staging = page_locked_bytes(largest_stage(facts, share));
  return demand;
}

DiskDemand disk_demand(const SweepFacts& facts) {
  int64_t rows = 0;
  for (const auto& dataset : facts.datasets) {
    if (dataset.merge == Merge::kRows) rows += dataset_bytes(facts, dataset);
  }
  const int64_t fields = field_bytes(facts);
  const bool is_linked = facts.job.output.layout == RowLayout::kLinked;
  return {rows + facts.segments.segments() * fields, (is_linked ? 0 : rows) + fields, rows};
}

}  // namespace actsweep
