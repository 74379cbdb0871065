#include "plan/traffic.h"

#include <algorithm>

#include "plan/products.h"
#include "probe/site.h"
#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

constexpr double kStreamBytes = 4;  // of an element of the residual stream

/// A norm reads the stream and writes rows of products; an addition reads rows and changes the
/// stream.
double branch_bytes(const SweepFacts& facts) {
  const double element = as_real(size_of(facts.job.model.dtype));
  return as_real(facts.architecture.channels) *
         (kStreamBytes + element + element + 2 * kStreamBytes);
}

/// Rows of the other members' partial sums: each is read, and added to a float32 sum.
double partial_sum_bytes(const SweepFacts& facts) {
  return as_real(facts.architecture.channels) *
         (as_real(size_of(facts.job.model.dtype)) + 2 * kStreamBytes);
}

/// Queries and keys are read and written where they are rotated.
double rotary_bytes(const SweepFacts& facts, const ModelShare& share, int64_t layer) {
  const auto& a = facts.architecture;
  if (!a.has_attention(layer) || a.rope_of_layer.empty() || a.rope_of_layer[layer] < 0) return 0;
  const double heads = as_real(share.query_heads.size() + share.key_heads.size());
  return 2 * heads * as_real(a.head_width * size_of(facts.job.model.dtype));
}

/// Gate and up are read, their product is written.
double gate_bytes(const SweepFacts& facts, const ModelShare& share, int64_t layer) {
  const auto& a = facts.architecture;
  if (!a.has_mlp(layer)) return 0;
  const double operands = a.is_gated ? 3 : 2, element = as_real(size_of(facts.job.model.dtype));
  if (!a.has_experts(layer)) {
    return operands * element * as_real(dense_neurons(share, a, layer).size());
  }
  // A token's chosen experts are spread over the ranks of the group.
  const double chosen = as_real(a.experts.chosen * a.experts.ffn_width) *
                        as_real(share.experts.size()) / as_real(a.experts.count);
  // Their rows are gathered, and added to a float32 sum.
  const double rows = as_real(a.experts.chosen * share.experts.size()) / as_real(a.experts.count) *
                      as_real(a.channels) * (2 * element + element + 2 * kStreamBytes);
  return operands * element * (chosen + as_real(share.shared_ffn.size())) + rows;
}

/// Branches of a layer that are gathered and scattered: mixer and MLP, together where they are
/// parallel. A state space beside attention, which is scattered alone, counts as one.
int64_t branches(const Architecture& a, int64_t layer) {
  const int64_t both = (a.has_mixer(layer) ? 1 : 0) + (a.has_mlp(layer) ? 1 : 0);
  return (a.is_parallel ? std::min<int64_t>(1, both) : both) + (a.has_states_beside(layer) ? 1 : 0);
}

double site_bytes(const SweepFacts& facts, Site site) {
  const auto width = value_width_of(facts.architecture);
  const int64_t layers = site == Site::kResidual    ? facts.architecture.layers + 1
                         : site == Site::kFinalNorm ? 1
                                                    : facts.architecture.layers;
  return kStreamBytes * as_real(layers * axis_length(facts, group_of(site, width).channel));
}

}  // namespace

double elementwise_bytes(const SweepFacts& facts, const ModelShare& share, int64_t members) {
  const auto& a = facts.architecture;
  double bytes = 0;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    const double both = as_real(branches(a, layer));
    double one = both * branch_bytes(facts) / as_real(members);  // of the rows that it owns
    if (members > 1) one += both * partial_sum_bytes(facts);
    one += rotary_bytes(facts, share, layer) + gate_bytes(facts, share, layer);
    bytes += streams_at(facts.job, layer) * one;
  }
  return bytes;
}

CollectiveBytes collective_bytes(const SweepFacts& facts, int64_t members, int64_t ranks_per_node) {
  const auto& a = facts.architecture;
  const double row = as_real(a.channels * size_of(facts.job.model.dtype));
  const int64_t near = std::min(members, ranks_per_node);
  const double far = as_real(members - near) / as_real(members);
  CollectiveBytes bytes;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    const double calls = streams_at(facts.job, layer) * as_real(branches(a, layer)) * row;
    bytes.within_node += calls * 2 * as_real(near - 1) / as_real(members);
    // Gathered rows enter a node once; partial sums go from each rank to each.
    bytes.into_node += calls * far * (1 + as_real(near));
  }
  return bytes;
}

double measured_bytes(const SweepFacts& facts) {
  double bytes = 0;
  for (const Site site : facts.job.statistics.sites) bytes += site_bytes(facts, site);
  return bytes * streams_at(facts.job, facts.architecture.layers);
}

double row_bytes_of_token(const SweepFacts& facts) {
  if (facts.tokens == 0) return 0;
  const auto disk = disk_demand(facts);
  return as_real(disk.rows) / as_real(facts.tokens);
}

double passes_over_weights(const SweepFacts& facts, int64_t replicas, int64_t block_windows) {
  if (facts.job.parallel.weights == WeightMode::kResident) return 1;
  const int64_t segment = facts.segments.windows_per_segment;
  const int64_t whole = facts.segments.windows / segment, rest = facts.segments.windows % segment;
  const auto blocks = [&](int64_t windows) {
    return (windows + block_windows - 1) / block_windows;
  };
  return as_real(whole * blocks(segment) + blocks(rest)) / as_real(replicas);
}

}  // namespace actsweep
