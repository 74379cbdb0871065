#include "stats/sequence_groups.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace actsweep {
namespace {

/// The shapes of the sequences with keys, in the order in which groups take them.
struct Shapes {
  const GatheredSequences& sequences;
  const std::vector<std::vector<int64_t>>& keys;

  int64_t length(int64_t number) const { return sequences.all[number].length; }
  int64_t key_count(int64_t number) const { return static_cast<int64_t>(keys[number].size()); }
  std::pair<int64_t, int64_t> of(int64_t number) const {
    return {length(number), key_count(number)};
  }
  std::vector<int64_t> ordered(bool pads) const {
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < sequences.count(); ++i) {
      if (length(i) > 0 && !keys[i].empty()) numbers.push_back(i);
    }
    if (pads) return numbers;
    std::stable_sort(numbers.begin(), numbers.end(),
                     [&](int64_t a, int64_t b) { return of(a) < of(b); });
    return numbers;
  }
};

/// The index tensors of a group from its sequences.
SequenceGroup group_of(const Shapes& shapes, std::vector<int64_t> numbers) {
  SequenceGroup group;
  int64_t most = 0;
  for (const int64_t number : numbers) {
    group.length = std::max(group.length, shapes.length(number));
    most = std::max(most, shapes.key_count(number));
  }
  std::vector<int64_t> positions, counts;
  for (const int64_t number : numbers) {
    group.is_padded |= shapes.of(number) != std::pair(group.length, most);
    const auto& keys = shapes.keys[number];
    positions.insert(positions.end(), keys.begin(), keys.end());
    positions.insert(positions.end(), most - shapes.key_count(number), keys.back());
    counts.push_back(shapes.key_count(number));
  }
  const auto& length = shapes.sequences.length;
  const auto here = [&](const std::vector<int64_t>& values) {
    return at::tensor(values, at::kLong).to(length.device());
  };
  group.sequence = here(numbers);
  group.positions = here(positions).view({-1, most});
  group.lengths = length.index_select(0, group.sequence);
  group.is_key = at::arange(most, length.options()).unsqueeze(0).lt(here(counts).unsqueeze(1));
  group.is_outside = group.is_padding().logical_not().scatter(1, group.positions, false);
  group.numbers = std::move(numbers);
  return group;
}

}  // namespace

at::Tensor SequenceGroup::is_padding() const {
  return at::arange(length, lengths.options()).unsqueeze(0).ge(lengths.unsqueeze(1));
}

Grouping Grouping::of(at::Device device) {
  // ATen splits a larger tensor among threads, and with it the columns that it adds together.
  if (device.is_cpu()) return {false, at::internal::GRAIN_SIZE - 1};
  return {true, kGroupElements};
}

std::vector<SequenceGroup> group_sequences(const GatheredSequences& sequences,
                                           const std::vector<std::vector<int64_t>>& keys,
                                           const GroupTensor& largest, const Grouping& grouping) {
  const Shapes shapes{sequences, keys};
  std::vector<SequenceGroup> groups;
  std::vector<int64_t> numbers;
  int64_t length = 0, most = 0;
  const auto end_group = [&] {
    if (!numbers.empty()) groups.push_back(group_of(shapes, std::exchange(numbers, {})));
    length = most = 0;
  };
  for (const int64_t number : shapes.ordered(grouping.pads)) {
    const auto count = static_cast<int64_t>(numbers.size()) + 1;
    const int64_t longest = std::max(length, shapes.length(number));
    const int64_t widest = std::max({most, shapes.key_count(number), largest.width});
    const bool fits = count * longest * largest.heads * widest <= grouping.most_elements;
    // ATen takes the norm of a row that has no other beside it by another loop.
    const bool is_alone = !grouping.pads && shapes.length(number) == 1;
    const bool is_other = !numbers.empty() && shapes.of(number) != shapes.of(numbers.back());
    if (!fits || is_alone || (is_other && !grouping.pads)) end_group();
    numbers.push_back(number);
    length = std::max(length, shapes.length(number));
    most = std::max(most, shapes.key_count(number));
  }
  end_group();
  return groups;
}

SequenceGroup first_sequence(int64_t length, at::Device device) {
  std::vector<int64_t> positions(length);
  std::iota(positions.begin(), positions.end(), 0);
  GatheredSequences sequences;
  sequences.all = {{.length = length}};
  sequences.length = at::full({1}, length, at::TensorOptions(device).dtype(at::kLong));
  const std::vector<std::vector<int64_t>> keys = {positions};
  return group_of({sequences, keys}, {0});
}

std::vector<std::vector<int64_t>> first_keys(const GatheredSequences& sequences) {
  return std::vector<std::vector<int64_t>>(sequences.all.size(), {0});
}

void add_sequences(at::Tensor field, const at::Tensor& values, const at::Tensor& is_finite) {
  const auto rows = values.view({values.size(0), -1});
  if (!field.is_cpu()) {
    const auto kept = rows.masked_fill(is_finite.logical_not().unsqueeze(1), 0);
    field.add_(kept.sum(0).view(field.sizes()));
    return;
  }
  auto sum = field.contiguous();
  auto* into = sum.mutable_data_ptr<double>();
  const auto* value = rows.const_data_ptr<double>();
  const auto* counts = is_finite.const_data_ptr<bool>();
  for (int64_t i = 0; i < rows.size(0); ++i, value += rows.size(1)) {
    if (!counts[i]) continue;
    for (int64_t j = 0; j < rows.size(1); ++j) into[j] += value[j];
  }
  if (!sum.is_alias_of(field)) field.copy_(sum);
}

void count_sequences(at::Tensor field, const at::Tensor& counts, const at::Tensor& is_finite) {
  field.add_(counts.masked_fill(is_finite.logical_not(), 0).sum());
}

}  // namespace actsweep
