#include "comm/gpu_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"

namespace actsweep {
namespace {

/// Gives ranks GPUs one by one; where all that a rank sees are taken, a taker looks for another.
class Matching {
 public:
  explicit Matching(const SeenGpus& seen) : seen_(seen), numbers_(seen.size(), -1) {}

  /// Whether the rank, and all that had one, have a GPU now.
  bool give(size_t rank) {
    std::set<std::string> asked;
    return give(rank, asked);
  }

  const std::vector<int>& numbers() const { return numbers_; }

 private:
  bool give(size_t rank, std::set<std::string>& asked) {
    const auto is_free = [&](const std::string& name) { return !takers_.contains(name); };
    const auto is_given_back = [&](const std::string& name) {
      return asked.insert(name).second && give(takers_.at(name), asked);
    };
    return take(rank, is_free) || take(rank, is_given_back);
  }

  /// The first that can be had, from number `rank` on.
  template <typename CanBeHad>
  bool take(size_t rank, const CanBeHad& can_be_had) {
    const auto& own = seen_[rank];
    for (size_t i = 0; i < own.size(); ++i) {
      const size_t number = (rank + i) % own.size();
      if (!can_be_had(own[number])) continue;
      takers_[own[number]] = rank;
      numbers_[rank] = static_cast<int>(number);
      return true;
    }
    return false;
  }

  const SeenGpus& seen_;
  std::vector<int> numbers_;
  std::map<std::string, size_t> takers_;  // rank of each GPU that is taken
};

std::string what_was_seen(const SeenGpus& seen) {
  std::vector<std::string> lines;
  for (size_t rank = 0; rank < seen.size(); ++rank) {
    lines.push_back(
        fmt::format("rank {} of the node sees {}", rank,
                    seen[rank].empty() ? "none" : fmt::format("{}", fmt::join(seen[rank], ", "))));
  }
  return fmt::format("{}", fmt::join(lines, "; "));
}

}  // namespace

std::vector<int> choose_gpus(const SeenGpus& seen, const std::string& node) {
  const auto sees_none = [](const auto& gpus) { return gpus.empty(); };
  if (std::all_of(seen.begin(), seen.end(), sees_none)) return {};
  Matching matching(seen);
  for (size_t rank = 0; rank < seen.size(); ++rank) {
    require(matching.give(rank), ErrorKind::kDevice,
            "node {}: expected a GPU for each of its {} ranks, found {}; start one rank for each "
            "GPU (slurm/README.md)",
            node, seen.size(), what_was_seen(seen));
  }
  return matching.numbers();
}

}  // namespace actsweep
