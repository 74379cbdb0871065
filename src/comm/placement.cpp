#include "comm/placement.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/error.h"
#include "comm/messages.h"

namespace actsweep {
namespace {

struct Fact {
  const char* name;
  std::string RankFacts::*value;
};

constexpr std::array kShared = {Fact{"device", &RankFacts::device},
                                Fact{"instruction set", &RankFacts::instructions},
                                Fact{"version of actsweep", &RankFacts::program},
                                Fact{"version of LibTorch", &RankFacts::torch}};
constexpr std::array kAll = {Fact{"node", &RankFacts::node}, kShared[0], kShared[1], kShared[2],
                             kShared[3]};

/// "CPU, AVX2 on node a (ranks 0, 1) and CPU, AVX512 on node b (ranks 2, 3)"; one entry where all
/// say the same.
class Saying {
 public:
  Saying(const std::vector<RankFacts>& all, std::string RankFacts::*value,
         const std::vector<int>& ranks) {
    for (const int rank : ranks) {
      const auto& facts = all[rank];
      if (!values_.contains(facts.*value)) order_.push_back(facts.*value);
      values_[facts.*value][facts.node].push_back(rank);
    }
  }

  bool is_one() const { return order_.size() == 1; }

  std::string text() const {
    std::vector<std::string> parts;
    for (const auto& value : order_) {
      for (const auto& [node, ranks] : values_.at(value)) {
        parts.push_back(fmt::format("{} on node {} (rank{} {})", value, node,
                                    ranks.size() > 1 ? "s" : "", fmt::join(ranks, ", ")));
      }
    }
    return fmt::format("{}", fmt::join(parts, " and "));
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, std::map<std::string, std::vector<int>>> values_;
};

/// The ranks, node by node.
std::vector<int> by_node(const std::vector<RankFacts>& ranks) {
  std::map<std::string, int> first;
  for (size_t i = 0; i < ranks.size(); ++i) first.emplace(ranks[i].node, static_cast<int>(i));
  std::vector<int> order(ranks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return first.at(ranks[a].node) < first.at(ranks[b].node); });
  return order;
}

void check_group(const std::vector<RankFacts>& all, const std::vector<int>& group, size_t number,
                 bool across_nodes) {
  for (const auto& fact : kShared) {
    const Saying saying(all, fact.value, group);
    require(saying.is_one(), ErrorKind::kDevice,
            "model group {}: expected one {} for all of its ranks, since sums go over them, found "
            "{}",
            number, fact.name, saying.text());
  }
  const Saying nodes(all, &RankFacts::node, group);
  require(across_nodes || nodes.is_one(), ErrorKind::kDevice,
          "model group {}: expected its {} ranks ([parallel] tensor) on one node, found {}: its "
          "collectives would take the network at each layer; start a multiple of {} ranks on each "
          "node, or allow it with [parallel] across_nodes = true",
          number, group.size(), nodes.text(), group.size());
}

/// Of the first rank of each group: within them all agree.
void compare_groups(const std::vector<RankFacts>& all, const std::vector<int>& leaders,
                    Placement& placement) {
  for (const auto& fact : kShared) {
    const Saying saying(all, fact.value, leaders);
    if (saying.is_one()) continue;
    placement.is_mixed = true;
    placement.warnings.push_back(
        fmt::format("model groups differ in {}: {}, so the last bits of a number depend on the "
                    "group that measures it (attribute mixed_devices)",
                    fact.name, saying.text()));
  }
}

}  // namespace

std::vector<RankFacts> gather_facts(const RankFacts& mine, MPI_Comm communicator) {
  nlohmann::json words = nlohmann::json::array();
  for (const auto& fact : kAll) words.push_back(mine.*fact.value);
  std::vector<RankFacts> all;
  for (const auto& text : gather_texts(words.dump(), communicator)) {
    const auto found = nlohmann::json::parse(text);
    auto& facts = all.emplace_back();
    for (size_t i = 0; i < kAll.size(); ++i) facts.*kAll[i].value = found[i];
  }
  return all;
}

Placement place_ranks(const std::vector<RankFacts>& ranks, int64_t members, bool across_nodes) {
  const auto order = by_node(ranks);
  const auto m = static_cast<size_t>(members);
  Placement placement;
  placement.places.resize(ranks.size());
  std::vector<int> leaders;
  for (size_t begin = 0; begin < order.size(); begin += m) {
    const auto end = std::min(begin + m, order.size());
    const std::vector<int> group(order.begin() + static_cast<ptrdiff_t>(begin),
                                 order.begin() + static_cast<ptrdiff_t>(end));
    check_group(ranks, group, begin / m, across_nodes);
    for (size_t i = begin; i < end; ++i) placement.places[order[i]] = static_cast<int>(i);
    leaders.push_back(group.front());
  }
  compare_groups(ranks, leaders, placement);
  return placement;
}

}  // namespace actsweep
