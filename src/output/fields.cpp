#include "output/fields.h"

#include <algorithm>

namespace actsweep {
namespace {

template <typename T>
void combine_as(Merge rule, std::span<std::byte> into, std::span<const std::byte> from) {
  auto* target = reinterpret_cast<T*>(into.data());
  const auto* source = reinterpret_cast<const T*>(from.data());
  for (size_t i = 0; i < into.size() / sizeof(T); ++i) {
    if (rule == Merge::kSum) target[i] += source[i];
    if (rule == Merge::kMax) target[i] = std::max(target[i], source[i]);
    if (rule == Merge::kMin) target[i] = std::min(target[i], source[i]);
  }
}

}  // namespace

void combine(const Dataset& dataset, std::span<std::byte> into, std::span<const std::byte> from) {
  ensure(is_field(dataset) && dataset.merge != Merge::kOfMax,
         "only sums, maxima and minima are combined");
  ensure(into.size() == from.size(), "combined fields have the same size");
  switch (dataset.type) {
    case ElementType::kUInt8:
      return combine_as<uint8_t>(dataset.merge, into, from);
    case ElementType::kUInt32:
      return combine_as<uint32_t>(dataset.merge, into, from);
    case ElementType::kUInt64:
      return combine_as<uint64_t>(dataset.merge, into, from);
    case ElementType::kInt64:
      return combine_as<int64_t>(dataset.merge, into, from);
    case ElementType::kFloat32:
      return combine_as<float>(dataset.merge, into, from);
    case ElementType::kFloat64:
      return combine_as<double>(dataset.merge, into, from);
    case ElementType::kBFloat16:
      ensure(false, "no field is bfloat16");
  }
}

namespace {

/// Replaces elements of `into` by those of `from` where `is_larger`.
void replace(const std::vector<bool>& is_larger, std::span<std::byte> into,
             std::span<const std::byte> from) {
  ensure(into.size() == from.size() && into.size() % is_larger.size() == 0,
         "what goes with a maximum has its shape");
  const size_t bytes = into.size() / is_larger.size();
  for (size_t i = 0; i < is_larger.size(); ++i) {
    if (!is_larger[i]) continue;
    std::copy_n(from.begin() + i * bytes, bytes, into.begin() + i * bytes);
  }
}

/// Where a part's maxima, float32, are larger than those known.
std::vector<bool> larger(std::span<const std::byte> part, std::span<const std::byte> known) {
  const auto* mine = reinterpret_cast<const float*>(part.data());
  const auto* theirs = reinterpret_cast<const float*>(known.data());
  std::vector<bool> is_larger(known.size() / sizeof(float));
  for (size_t i = 0; i < is_larger.size(); ++i) is_larger[i] = mine[i] > theirs[i];
  return is_larger;
}

using Values = std::map<std::string, std::vector<std::byte>>;

/// 0 of an axis that a file has not: a sweep of tasks alone measures no layer.
int64_t length_of(const Extents& extents, Axis axis) {
  const auto found = extents.find(axis);
  return found == extents.end() ? 0 : found->second;
}

/// The fields of one part.
Values read_fields(Parts& parts, size_t part, const std::vector<Dataset>& datasets,
                   const Extents& extents) {
  Values values;
  for (const auto& dataset : datasets) {
    if (!is_field(dataset)) continue;
    auto& read = values[dataset.path];
    read.resize(static_cast<size_t>(byte_count(dataset, shape_of(dataset, extents))));
    parts.dataset({part}, dataset, extents).read_all(memory_type(dataset.type), read.data());
  }
  return values;
}

}  // namespace

void combine_all(const std::vector<Dataset>& datasets, Values& into, const Values& from) {
  for (const auto& dataset : datasets) {  // while their maxima are those before
    if (dataset.merge != Merge::kOfMax) continue;
    const auto& maximum = dataset.maximum;
    replace(larger(from.at(maximum), into.at(maximum)), into.at(dataset.path),
            from.at(dataset.path));
  }
  for (const auto& dataset : datasets) {
    if (!is_field(dataset) || dataset.merge == Merge::kOfMax) continue;
    combine(dataset, into.at(dataset.path), from.at(dataset.path));
  }
}

MergedFields merge_fields(Parts& parts, const std::vector<PartLengths>& lengths,
                          const std::vector<Dataset>& datasets, const Extents& extents,
                          bool adds_offsets) {
  MergedFields merged;
  merged.layers = length_of(extents, Axis::kLayer);
  merged.channels = length_of(extents, Axis::kChannel);
  for (size_t part = 0; part < parts.count(); ++part) {
    if (lengths[part].is_segment == 0) continue;
    auto values = read_fields(parts, part, datasets, extents);
    for (const auto& dataset : datasets) {
      if (adds_offsets && is_field(dataset)) {
        add_offset(dataset, lengths, part, values.at(dataset.path));
      }
    }
    if (merged.values.empty()) {
      merged.values = std::move(values);
    } else {
      combine_all(datasets, merged.values, values);
    }
  }
  return merged;
}

}  // namespace actsweep
