#include "plan/costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "plan/products.h"
#include "plan/traffic.h"
#include "stats/participation.h"

namespace actsweep {
namespace {

/// Of what rows and fields take before they are compressed (docs/performance.md: 24.3 MB to 8.1).
constexpr double kCompressed = 0.33;
/// Passes over float32 scores where attention is measured by ATen's operators.
constexpr double kScorePasses = 14;

std::string scaled(double value, const std::string& unit) {
  static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T", "P", "E", "Z"};
  size_t prefix = 0;
  for (; value >= 1000 && prefix + 1 < std::size(kPrefixes); ++prefix) value /= 1000;
  return fmt::format("{:.{}f} {}{}", value,
                     value < 10    ? 2
                     : value < 100 ? 1
                                   : 0,
                     kPrefixes[prefix], unit);
}

double seconds_of(double amount, double rate) { return rate > 0 ? amount / rate : 0; }

/// What all costs of one layout are made of.
struct Setting {
  const SweepFacts& facts;
  const Machine& machine;
  int64_t members;
  int64_t block_windows;
  ModelShare share;  // the widest

  int64_t replicas() const { return machine.ranks / members; }
  /// Of the busiest model group, which takes one segment more where they do not come out even.
  double group_tokens() const {
    const auto& segments = facts.segments;
    const int64_t rounds = (segments.segments() + replicas() - 1) / replicas();
    const int64_t windows = std::min(segments.windows, rounds * segments.windows_per_segment);
    return as_real(windows) * as_real(facts.tokens) /
           as_real(std::max<int64_t>(1, segments.windows));
  }
  double owned_tokens() const { return group_tokens() / as_real(members); }
};

Cost operations_cost(const std::string& name, double operations, double rate) {
  return {name, Phase::kCompute, seconds_of(operations, rate),
          scaled(operations, "FLOP") + " a rank"};
}

Cost bytes_cost(const std::string& name, Phase phase, double bytes, double rate,
                const std::string& of = " a rank") {
  return {name, phase, seconds_of(bytes, rate), scaled(bytes, "B") + of};
}

void add_arithmetic(const Setting& s, std::vector<Cost>& costs) {
  const auto token = token_operations(s.facts, s.share);
  const auto& rates = s.machine.rates;
  const double tokens = s.group_tokens();
  costs.push_back(
      operations_cost("products", tokens * (token.products + token.head), rates.products));
  costs.push_back(operations_cost("attention", tokens * token.attention, rates.attention));
  if (s.facts.tower) {
    const double images = as_real(s.facts.tower->images) / as_real(s.machine.ranks);
    costs.push_back(operations_cost("images", images * image_operations(s.facts), rates.products));
  }
  if (token.recurrence > 0) {
    costs.push_back(operations_cost("states", tokens * token.recurrence, rates.float32_products));
  }
  const double elements = tokens * elementwise_bytes(s.facts, s.share, s.members);
  costs.push_back(bytes_cost("element-wise", Phase::kCompute, elements, rates.memory));
}

/// Of attention by keys: its scores once more, in float32.
double attention_statistics_s(const Setting& s) {
  const auto& a = s.facts.architecture;
  if (s.facts.job.statistics.attention.empty()) return 0;
  double scores = 0;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    if (a.has_attention(layer)) scores += keys_seen(a, layer, s.facts.job.corpus.sequence_length);
  }
  scores *= s.group_tokens() * as_real(s.share.query_heads.size());
  const auto& rates = s.machine.rates;
  const double products = seconds_of(2 * scores * as_real(a.head_width), rates.float32_products);
  return products + (s.machine.is_gpu ? seconds_of(kScorePasses * 4 * scores, rates.memory) : 0);
}

/// Of geometry: the Gram matrix of each sequence at each layer, in float32.
double geometry_s(const Setting& s) {
  if (!s.facts.job.statistics.geometry) return 0;
  const auto& a = s.facts.architecture;
  const int64_t length = s.facts.job.corpus.sequence_length;
  const double of_token = participation_operations(length, a.channels) / as_real(length);
  return seconds_of(s.owned_tokens() * as_real(a.layers + 1) * of_token,
                    s.machine.rates.float32_products);
}

void add_statistics(const Setting& s, std::vector<Cost>& costs) {
  const double bytes = s.owned_tokens() * measured_bytes(s.facts);
  auto cost = bytes_cost("statistics", Phase::kCompute, bytes, s.machine.rates.statistics);
  cost.seconds += attention_statistics_s(s) + geometry_s(s);
  costs.push_back(std::move(cost));
}

void add_collectives(const Setting& s, std::vector<Cost>& costs) {
  const auto one = collective_bytes(s.facts, s.members, s.machine.ranks_of_node());
  const double within = s.group_tokens() * one.within_node;
  auto cost = bytes_cost("collectives", Phase::kCompute, within, s.machine.rates.link);
  // Groups of one rank per node share the node's network.
  const int64_t near = std::min(s.members, s.machine.ranks_of_node());
  const double groups = as_real(s.machine.ranks_of_node()) / as_real(near);
  const double across = s.group_tokens() * one.into_node * groups;
  if (across > 0) {
    cost.amount += ", " + scaled(across, "B") + " into a node";
    cost.seconds = std::max(cost.seconds, seconds_of(across, s.machine.rates.network));
  }
  costs.push_back(std::move(cost));
}

/// Once from disk into each node's page cache; again for each block where that is too small.
void add_weights(const Setting& s, std::vector<Cost>& costs) {
  const auto& rates = s.machine.rates;
  const double rank = as_real(loaded_bytes(s.facts, s.share));
  const double model =
      s.facts.stored_bytes > 0 ? as_real(s.facts.stored_bytes) : rank * as_real(s.members);
  const double passes = passes_over_weights(s.facts, s.replicas(), s.block_windows);
  const bool is_cached = s.machine.node_bytes == 0 || model < as_real(s.machine.node_bytes);
  const double reads = (is_cached ? 1 : passes) * as_real(s.machine.nodes());
  costs.push_back(bytes_cost("weights from disk",
                             passes > 1 && !is_cached ? Phase::kBeside : Phase::kBefore,
                             model * reads, rates.disk_read, " in all"));
  const double upload = rates.host_link > 0 ? rates.host_link : rates.memory / 2;
  costs.push_back(bytes_cost("weights to ranks", passes > 1 ? Phase::kBeside : Phase::kBefore,
                             rank * passes, upload));
}

/// Of tokens, and of the inputs that each layer has of its own.
void add_embedding(const Setting& s, std::vector<Cost>& costs) {
  const auto& rates = s.machine.rates;
  const auto& a = s.facts.architecture;
  const int64_t of_layers = a.layers * a.layer_inputs.width * size_of(s.facts.job.model.dtype);
  const double bytes = s.owned_tokens() * as_real(a.channels * 4 + of_layers);
  auto cost = bytes_cost("embedding", Phase::kCompute, bytes, rates.gather);
  cost.seconds += seconds_of(bytes, rates.host_link);
  costs.push_back(std::move(cost));
}

void add_rows(const Setting& s, std::vector<Cost>& costs) {
  const auto& rates = s.machine.rates;
  const double bytes = s.owned_tokens() * row_bytes_of_token(s.facts);
  if (rates.host_link > 0) {
    costs.push_back(bytes_cost("rows to the host", Phase::kBeside, bytes, rates.host_link));
  }
  costs.push_back(bytes_cost("disk", Phase::kBeside,
                             kCompressed * as_real(disk_demand(s.facts).segments), rates.disk_write,
                             " in all"));
}

/// Segments' chunks are copied; those of several members' rows are compressed anew. Of linked rows
/// fields alone are read.
void add_consolidation(const Setting& s, std::vector<Cost>& costs) {
  const auto& rates = s.machine.rates;
  const auto disk = disk_demand(s.facts);
  const bool is_linked = s.facts.job.output.layout == RowLayout::kLinked;
  const double read = kCompressed * as_real(disk.segments - (is_linked ? disk.rows : 0));
  const double written = kCompressed * as_real(disk.final);
  double seconds = seconds_of(read, rates.disk_read) + seconds_of(written, rates.disk_write);
  if (s.members > 1 && !is_linked) {
    const double threads = as_real(s.machine.ranks * s.machine.threads);
    seconds += seconds_of(as_real(disk.rows), rates.compression * threads);
  }
  costs.push_back(
      {"consolidation", Phase::kAfter, seconds, scaled(read + written, "B") + " in all"});
}

}  // namespace

double SweepCosts::seconds() const {
  double compute = 0, others = 0, beside = 0;
  for (const auto& cost : costs) {
    if (cost.phase == Phase::kCompute) compute += cost.seconds;
    if (cost.phase == Phase::kBefore || cost.phase == Phase::kAfter) others += cost.seconds;
    if (cost.phase == Phase::kBeside) beside = std::max(beside, cost.seconds);
  }
  return others + std::max(compute, beside);
}

const Cost& SweepCosts::limit() const {
  return *std::max_element(costs.begin(), costs.end(), [](const Cost& left, const Cost& right) {
    return left.seconds < right.seconds;
  });
}

SweepCosts sweep_costs(const SweepFacts& facts, const Machine& machine, int64_t members,
                       int64_t block_windows) {
  SweepCosts result;
  if (machine.rates.products <= 0) return result;
  const Setting setting = {facts, machine, members, block_windows,
                           share_of(facts.architecture, members, members - 1)};
  add_arithmetic(setting, result.costs);
  add_statistics(setting, result.costs);
  add_collectives(setting, result.costs);
  add_weights(setting, result.costs);
  add_embedding(setting, result.costs);
  add_rows(setting, result.costs);
  add_consolidation(setting, result.costs);
  result.costs.push_back({"start", Phase::kBefore, machine.rates.start_s, ""});
  return result;
}

}  // namespace actsweep
