#include "plan/device_memory.h"

#include <algorithm>
#include <bit>

#include "kernels/attention_chunks.h"

namespace actsweep {
namespace {

/// Scores, shifted and exponentiated ones, products with these, probabilities, and one for what ATen
/// takes for itself.
constexpr int64_t kScoreCopies = 6;
constexpr int64_t kRowCopies = 3;  // of a layer's rows

bool has_weight(const SweepFacts& facts, Weight weight) {
  return std::ranges::any_of(facts.rows,
                             [&](const TensorRow& row) { return row.weight == weight; });
}

/// Whether a softmax is written out somewhere: its scores are capped, biased or joined, or its
/// summary is asked for.
bool writes_scores_out(const SweepFacts& facts) {
  const auto& a = facts.architecture;
  return a.score_cap > 0 || a.alibi != Alibi::kNone || has_weight(facts, Weight::kSinks) ||
         has_weight(facts, Weight::kExtraKey) || facts.job.sees_gathered_rows();
}

/// The widest mask: of queries and of the keys that a window shows them.
int64_t mask_elements(const SweepFacts& facts) {
  const int64_t length = facts.job.corpus.sequence_length;
  int64_t elements = 0;
  for (const int64_t window : facts.architecture.window) {
    if (window > 0 && window < length) {
      elements = std::max(elements, window * std::min(2 * window, length));
    }
  }
  return elements;
}

}  // namespace

int64_t collective_bytes(int64_t members) { return (members - 1) * kNcclPeerBytes; }

int64_t attention_bytes(const SweepFacts& facts, const ModelShare& share,
                        const WorkspaceShape& shape) {
  const auto element = static_cast<int64_t>(elementSize(shape.dtype));
  const int64_t mask = mask_elements(facts) * (element + 1);  // and which keys are hidden
  if (!writes_scores_out(facts)) return mask;
  const int64_t scores = shape.gathered_rows() * share.query_heads.size() *
                         facts.job.corpus.sequence_length * 4;
  return mask + kScoreCopies * std::min(scores, aten::kScoreBytes);
}

int64_t page_locked_bytes(int64_t bytes) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(bytes)));
}

void add_to_cpu(const RowsAndFields& all, int64_t threads, int64_t layers, MemoryDemand& demand) {
  demand.statistics = 2 * all.fields + threads * all.fields / (layers + 1) + all.event_rows +
                      kRowCopies * all.layer_rows + all.store;
}

void add_to_gpu(const RowsAndFields& all, int64_t layers, MemoryDemand& demand) {
  demand.statistics = all.fields + all.fields / (layers + 1) + all.layer_rows;
  demand.host.rows = all.fields + all.event_rows + page_locked_bytes(all.layer_rows) +
                     (kRowCopies - 1) * all.layer_rows + all.store;
}

}  // namespace actsweep
