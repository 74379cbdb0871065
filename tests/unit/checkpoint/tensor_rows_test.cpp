// Laws of tensor rows: what the ranks of a group read together is the stored tensor.
#include "checkpoint/tensor_rows.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "weights/share.h"

namespace actsweep {
namespace {

constexpr int64_t kMostParts = 5;

Architecture with_heads(int64_t heads, int64_t kv_heads) {
  Architecture a;
  a.layers = 2;
  a.heads = heads;
  a.kv_heads = kv_heads;
  a.head_width = 4;
  a.channels = heads * a.head_width;
  a.ffn_width = 7;
  a.vocabulary = 11;
  a.embedding_width = a.channels;
  return a;
}

const std::vector<Architecture>& head_layouts() {
  static const std::vector<Architecture> list = {with_heads(5, 1), with_heads(6, 2),
                                                 with_heads(7, 7), with_heads(12, 4)};
  return list;
}

Architecture with_experts() {
  auto a = with_heads(2, 1);
  a.experts = {7, 2, 3};
  a.experts.shared_width = 5;
  a.experts.layers = {true, false};
  return a;
}

std::string text(const Architecture& a, FusedOrder order) {
  return fmt::format("{} heads over {}, order {}", a.heads, a.kv_heads, static_cast<int>(order));
}

std::vector<Architecture> layouts_of(FusedOrder order) {
  if (order == FusedOrder::kQuarters) return {with_heads(8, 8), with_heads(12, 12)};
  return head_layouts();
}

/// What stands where in a fused tensor, unit by unit: (part, unit of the part).
std::vector<std::pair<int, int64_t>> stored_units(const Architecture& a, FusedOrder order) {
  std::vector<std::pair<int, int64_t>> units;
  if (order == FusedOrder::kParts) {
    for (int64_t i = 0; i < a.heads; ++i) units.emplace_back(0, i);
    for (int part : {1, 2}) {
      for (int64_t i = 0; i < a.kv_heads; ++i) units.emplace_back(part, i);
    }
    return units;
  }
  if (order == FusedOrder::kQuarters) {
    for (int64_t first = 0; first < a.heads; first += a.heads / 4) {
      for (int part : {0, 2, 1}) {
        for (int64_t i = 0; i < a.heads / 4; ++i) units.emplace_back(part, first + i);
      }
    }
    return units;
  }
  for (int64_t key = 0; key < a.kv_heads; ++key) {
    const int64_t group = a.heads / a.kv_heads;
    for (int64_t i = 0; i < group; ++i) units.emplace_back(0, key * group + i);
    units.emplace_back(1, key);
    units.emplace_back(2, key);
  }
  return units;
}

TEST(FusedRows, PlaceEachHeadWhereTheOrderStoresIt) {
  for (const auto order : {FusedOrder::kParts, FusedOrder::kKeyHeads, FusedOrder::kQuarters}) {
    for (auto a : layouts_of(order)) {
      SCOPED_TRACE(text(a, order));
      a.has_qkv_bias = true;
      TensorRows rows(a);
      rows.fused_query_key_value("{}.qkv", order);
      const auto stored = stored_units(a, order);
      ASSERT_EQ(rows.list().size(), 6u);
      for (const auto& row : rows.list()) {
        EXPECT_EQ(row.shape[0], static_cast<int64_t>(stored.size()) * a.head_width) << row.name;
        EXPECT_EQ(row.unit, a.head_width);
        const int64_t units = row.part == 0 ? a.heads : a.kv_heads;
        for (int64_t unit = 0; unit < units; ++unit) {
          EXPECT_EQ(stored.at(row.order.place(unit)), std::pair(row.part, unit)) << row.name;
        }
      }
    }
  }
}

/// The ranks that read each unit of the cut axis as it is stored.
std::vector<std::set<int64_t>> readers_of(const Architecture& a, const std::vector<TensorRow>& rows,
                                          int64_t parts) {
  const auto& first = rows.front();
  std::vector<std::set<int64_t>> readers(first.whole_shape()[first.cut_axis] / first.unit);
  for (int64_t part = 0; part < parts; ++part) {
    const auto share = share_of(a, parts, part);
    for (const auto& row : rows) {
      const auto units = units_of(share, row);
      for (auto unit = units.begin; unit < units.end; ++unit) {
        EXPECT_TRUE(readers.at(row.order.place(unit)).insert(part).second) << "read twice";
      }
    }
  }
  return readers;
}

/// The one rank of a query head; the ranks with a query head of a key/value head's group.
std::set<int64_t> owners_of(const Architecture& a, int part, int64_t unit, int64_t parts) {
  std::set<int64_t> owners;
  for (int64_t rank = 0; rank < parts; ++rank) {
    for (int64_t q = a.heads * rank / parts; q < a.heads * (rank + 1) / parts; ++q) {
      if ((part == 0 ? q : q / (a.heads / a.kv_heads)) == unit) owners.insert(rank);
    }
  }
  return owners;
}

TEST(FusedRows, RanksReadEachQueryHeadOnceAndEachKeyHeadWhereItsQueriesAre) {
  for (const auto order : {FusedOrder::kParts, FusedOrder::kKeyHeads}) {
    for (const auto& a : head_layouts()) {
      TensorRows rows(a);
      rows.fused_query_key_value("{}.qkv", order);
      const auto stored = stored_units(a, order);
      for (int64_t parts = 1; parts <= kMostParts; ++parts) {
        SCOPED_TRACE(text(a, order) + fmt::format(", {} parts", parts));
        const auto readers = readers_of(a, rows.list(), parts);
        for (size_t place = 0; place < stored.size(); ++place) {
          const auto [part, unit] = stored[place];
          EXPECT_EQ(readers[place], owners_of(a, part, unit, parts));
        }
      }
    }
  }
}

TEST(Rows, WithAnAxisOfTheirOwnAreReadOnceByAllRanksTogether) {
  for (const auto& a : head_layouts()) {
    TensorRows list(a);
    list.embedding("embedding").attention_output("{}.o").gate_up_down("{}.mlp.").head("head");
    for (const auto& row : list.list()) {
      if (row.cut == Cut::kNone) continue;
      for (int64_t parts = 1; parts <= kMostParts; ++parts) {
        for (const auto& readers : readers_of(a, {row}, parts)) {
          EXPECT_EQ(readers.size(), 1u) << row.name << ", " << parts << " parts";
        }
      }
    }
  }
}

TEST(FusedRows, OfGateAndUpAreReadOnceByAllRanksTogether) {
  const auto a = with_heads(4, 4);
  TensorRows list(a);
  list.fused_gate_up_down("{}.gate_up", "{}.down");
  const std::vector<TensorRow> gate_up(list.list().begin(), list.list().begin() + 2);
  for (int64_t parts = 1; parts <= kMostParts; ++parts) {
    const auto readers = readers_of(a, gate_up, parts);
    ASSERT_EQ(readers.size(), 14u);
    for (int64_t neuron = 0; neuron < 7; ++neuron) {
      EXPECT_EQ(readers[neuron].size(), 1u);
      EXPECT_EQ(readers[neuron], readers[7 + neuron]) << "a gate and its up on two ranks";
    }
  }
}

TEST(TransposedRows, HaveTheWeightsShapeAndReverseItInTheCheckpoint) {
  const auto a = with_heads(6, 2);
  TensorRows rows(a);
  rows.stored_transposed()
      .fused_query_key_value("{}.qkv", FusedOrder::kParts)
      .attention_output("{}.o")
      .up_down("{}.up", "{}.down");
  using Shape = std::vector<int64_t>;
  const std::map<std::string, std::pair<Shape, Shape>> expected = {
      // name: as stored, and the part of a rank with 3 units
      {"{}.qkv.weight", {{24, 40}, {12, 24}}},
      {"{}.o.weight", {{24, 24}, {24, 12}}},
      {"{}.up.weight", {{24, 7}, {3, 24}}},
      {"{}.down.weight", {{7, 24}, {24, 3}}}};
  std::set<std::string> seen;
  for (const auto& row : rows.list()) {
    SCOPED_TRACE(row.name);
    const auto& [stored, part] = expected.at(row.name);
    EXPECT_EQ(row.shape, stored);
    EXPECT_EQ(row.whole_shape(), Shape(stored.rbegin(), stored.rend()));
    EXPECT_EQ(row.shape_of(3), part);
    seen.insert(row.name);
  }
  EXPECT_EQ(seen.size(), expected.size());
}

/// The only rank that reads a row's unit whole; all others read nothing.
int64_t reader_of_expert(const Architecture& a, const TensorRow& row, int64_t parts) {
  int64_t reader = -1;
  for (int64_t part = 0; part < parts; ++part) {
    const auto units = units_of(share_of(a, parts, part), row);
    if (units.size() == 0) continue;
    EXPECT_EQ(reader, -1) << row.name << ": read by two ranks";
    EXPECT_EQ(units.begin, 0);
    EXPECT_EQ(units.end, row.all_units());
    reader = part;
  }
  return reader;
}

void expect_experts_on_one_rank(const Architecture& a, const std::vector<TensorRow>& rows) {
  for (int64_t parts = 1; parts <= 9; ++parts) {
    std::map<int64_t, std::set<int64_t>> ranks;
    for (const auto& row : rows) {
      ranks[row.only_unit].insert(reader_of_expert(a, row, parts));
    }
    ASSERT_EQ(static_cast<int64_t>(ranks.size()), a.experts.count);
    for (const auto& [expert, of] : ranks) {
      EXPECT_EQ(of.size(), 1u) << "expert " << expert << " lies on several ranks";
      EXPECT_FALSE(of.contains(-1)) << "expert " << expert << " is read by nobody";
    }
  }
}

TEST(ExpertRows, EachExpertIsReadWholeByOneRank) {
  const auto a = with_experts();
  TensorRows alone(a), stacked(a);
  alone.experts("{}.experts.{e}.", "gate", "up", "down");
  stacked.alternating_experts("{}.gate_up", "{}.down");
  EXPECT_EQ(alone.list().size(), 7u * 3);
  EXPECT_EQ(stacked.list().size(), 7u * 6);
  expect_experts_on_one_rank(a, alone.list());
  expect_experts_on_one_rank(a, stacked.list());
}

TEST(ExpertRows, OfAnExpertAloneNameItAndHaveItsShape) {
  const auto a = with_experts();
  TensorRows rows(a);
  rows.experts("{}.experts.{e}.", "gate", "up", "down");
  const auto& up = rows.list().at(6 * 3 + 1);
  EXPECT_EQ(tensor_name(up, 1), "1.experts.6.up.weight");
  EXPECT_EQ(up.whole_shape(), (std::vector<int64_t>{3, 8}));
  EXPECT_EQ(up.all_units(), 3);
}

TEST(ExpertRows, AlternatingGateAndUpCoverTheStackedTensorOnce) {
  const auto a = with_experts();
  TensorRows rows(a);
  rows.alternating_experts("{}.gate_up", "{}.down");
  std::map<std::string, std::set<std::pair<int64_t, int64_t>>> seen;  // (expert, stored column)
  for (const auto& row : rows.list()) {
    const bool is_gate_up = row.name.starts_with("{}.gate_up");
    EXPECT_EQ(row.all_units(), is_gate_up ? 3 : 8) << row.name;
    EXPECT_EQ(row.shape[0], 7);
    EXPECT_EQ(row.shape.back(), is_gate_up ? 6 : 8) << row.name;
    for (int64_t unit = 0; unit < row.all_units(); ++unit) {
      const int64_t column = row.order.place(unit);
      EXPECT_TRUE(!is_gate_up || column % 2 == row.part) << "gates stand first";
      EXPECT_TRUE(seen[row.name].insert({row.only_unit, column}).second) << row.name;
    }
  }
  EXPECT_EQ(seen.at("{}.gate_up").size(), 7u * 6);
  EXPECT_EQ(seen.at("{}.gate_up_bias").size(), 7u * 6);
  EXPECT_EQ(seen.at("{}.down").size(), 7u * 8);
  EXPECT_EQ(seen.at("{}.down_bias").size(), 7u * 8);
}

TEST(ExpertRows, StandInTheLayersWithExpertsAndDenseOnesInTheOthers) {
  auto a = with_experts();
  TensorRows rows(a);
  rows.norm("{}.norm", Weight::kMlpNorm)
      .gate_up_down("{}.mlp.")
      .router("{}.router", true)
      .experts("{}.experts.{e}.", "gate", "up", "down")
      .shared_expert("{}.shared.", "{}.shared_gate");
  for (const auto& row : rows.list()) {
    const bool is_norm = row.name == "{}.norm.weight", is_dense = row.name.starts_with("{}.mlp.");
    EXPECT_EQ(row.is_in(a, 0), is_norm || !is_dense) << row.name;
    EXPECT_EQ(row.is_in(a, 1), is_norm || is_dense) << row.name;
  }
}

TEST(HeadRows, OfATiedPairEitherStandsForTheOther) {
  auto a = with_heads(2, 1);
  for (const bool is_tied : {false, true}) {
    a.ties_embeddings = is_tied;
    TensorRows rows(a);
    rows.embedding("embedding").head("head");
    const auto& head = rows.list().at(1);
    EXPECT_EQ(head.name, "head.weight");
    EXPECT_EQ(head.tied_to, is_tied ? "embedding.weight" : "");
    EXPECT_EQ(rows.list().at(0).tied_to, is_tied ? "head.weight" : "");
    EXPECT_EQ(head.cut, Cut::kVocabulary);
    EXPECT_EQ(head.all_units(), 11);
  }
}

Architecture with_delta_rule() {
  auto a = with_heads(2, 1);
  a.delta = {3, 6, 4, 6, 4};
  return a;
}

/// Rows of a tensor, by its name.
std::map<std::string, std::vector<TensorRow>> by_name(const std::vector<TensorRow>& rows) {
  std::map<std::string, std::vector<TensorRow>> found;
  for (const auto& row : rows) found[row.name].push_back(row);
  return found;
}

TEST(DeltaRows, EachElementIsReadOnceByTheRankOfItsKeyHead) {
  const auto a = with_delta_rule();
  TensorRows rows(a);
  rows.fused_delta_projections("{}.qkvz", "{}.ba").delta_rule("{}.");
  TensorRows apart(a);
  apart.delta_projections("{}.qkv", "{}.z", "{}.b", "{}.a");
  for (const auto* list : {&rows, &apart}) {
    for (const auto& [name, of_tensor] : by_name(list->list())) {
      if (of_tensor.front().cut == Cut::kNone) continue;  // the norm, whole on every rank
      for (int64_t parts = 1; parts <= kMostParts; ++parts) {
        const auto readers = readers_of(a, of_tensor, parts);
        const auto units = static_cast<int64_t>(readers.size());
        const bool is_by_heads = name == "{}.qkvz.weight" || name == "{}.ba.weight";
        for (int64_t unit = 0; unit < units; ++unit) {
          ASSERT_EQ(readers[unit].size(), 1u) << name << " " << unit << " of " << parts;
          if (!is_by_heads) continue;
          const auto share = share_of(a, parts, *readers[unit].begin()).delta_heads;
          const int64_t head = unit * a.delta.key_heads / units;
          EXPECT_TRUE(share.begin <= head && head < share.end) << name << " " << unit;
        }
      }
    }
  }
}

TEST(GatedAttentionRows, AlternateBetweenEachHeadsQueryAndItsGate) {
  auto a = with_heads(6, 2);
  a.has_output_gate = a.has_qkv_bias = true;
  TensorRows rows(a);
  rows.query_key_value("{}.", "q", "k", "v");
  for (const auto& row : rows.list()) {
    const bool is_gate = row.weight == Weight::kOutputGate || row.weight == Weight::kOutputGateBias;
    if (!row.name.starts_with("{}.q.")) continue;
    EXPECT_EQ(row.shape[0], 2 * a.heads * a.head_width) << row.name;
    for (int64_t head = 0; head < a.heads; ++head) {
      EXPECT_EQ(row.order.place(head), 2 * head + (is_gate ? 1 : 0)) << row.name;
    }
  }
}

}  // namespace
}  // namespace actsweep
