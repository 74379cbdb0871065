// Laws of the rows of mixers that ranks cut by heads or channels: each element is read by the ranks
// that need it.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "checkpoint/tensor_rows.h"
#include "weights/share.h"

namespace actsweep {
namespace {

constexpr int64_t kMostParts = 5;

Architecture with_states() {
  Architecture a;
  a.layers = 1;
  a.channels = 8;
  a.states = {.heads = 6, .head_width = 4, .groups = 3, .state_width = 6, .taps = 4};
  a.states.has_convolution_bias = a.states.has_bias = a.states.has_output_bias = true;
  a.convolution = {.channels = 7, .taps = 3, .has_bias = true};
  a.selective = {.channels = 10, .state_width = 3, .step_rank = 2, .taps = 4};
  return a;
}

/// By element of the cut axis, whatever the rows' units are.
std::vector<std::set<int64_t>> element_readers_of(const Architecture& a,
                                                  const std::vector<TensorRow>& rows,
                                                  int64_t parts) {
  std::vector<std::set<int64_t>> readers(rows.front().whole_shape()[rows.front().cut_axis]);
  for (int64_t part = 0; part < parts; ++part) {
    for (const auto& row : rows) {
      const auto units = units_of(share_of(a, parts, part), row);
      for (auto element = units.begin * row.unit; element < units.end * row.unit; ++element) {
        const int64_t place = row.order.place(element / row.unit) * row.unit + element % row.unit;
        EXPECT_TRUE(readers.at(place).insert(part).second) << "read twice";
      }
    }
  }
  return readers;
}

TEST(StateRows, EachElementIsReadByTheRanksThatHaveAHeadOfIt) {
  const auto a = with_states();
  TensorRows rows(a);
  rows.state_space("{}.").short_convolution("{}.short.").selective_space("{}.selective.");
  std::map<std::string, std::vector<TensorRow>> by_name;
  for (const auto& row : rows.list()) by_name[row.name].push_back(row);
  for (const auto& [name, of_tensor] : by_name) {
    if (of_tensor.front().cut == Cut::kNone) continue;  // a bias of a sum
    for (int64_t parts = 1; parts <= kMostParts; ++parts) {
      const bool has_groups =
          of_tensor.back().cut != Cut::kConvolved && of_tensor.back().cut != Cut::kSelective;
      const bool is_cut_inside_groups = has_groups && parts != 1 && parts != 3;
      const auto readers = element_readers_of(a, of_tensor, parts);
      for (size_t element = 0; element < readers.size(); ++element) {
        EXPECT_GE(readers[element].size(), 1u) << name << " " << element << " of " << parts;
        if (is_cut_inside_groups) continue;
        EXPECT_EQ(readers[element].size(), 1u) << name << " " << element << " of " << parts;
      }
    }
  }
}

}  // namespace
}  // namespace actsweep
