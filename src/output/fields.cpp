#include "output/fields.h"

#include <algorithm>

namespace actsweep {
namespace {

bool is_field(const Dataset& dataset) {
  return dataset.merge == Merge::kSum || dataset.merge == Merge::kMax ||
         dataset.merge == Merge::kMin;
}

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
  ensure(is_field(dataset), "only sums, maxima and minima are combined");
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
  }
}

MergedFields merge_fields(Parts& parts, const std::vector<PartLengths>& lengths,
                          const std::vector<Dataset>& datasets, const Extents& extents) {
  MergedFields merged;
  merged.layers = extents.at(Axis::kLayer);
  merged.channels = extents.at(Axis::kChannel);
  for (size_t part = 0; part < parts.count(); ++part) {
    if (lengths[part].is_segment == 0) continue;
    for (const auto& dataset : datasets) {
      if (!is_field(dataset)) continue;
      const H5Dataset source = parts.dataset({part}, dataset, extents);
      std::vector<std::byte> values(
          static_cast<size_t>(byte_count(dataset, shape_of(dataset, extents))));
      source.read_all(memory_type(dataset.type), values.data());
      const auto [known, is_first] = merged.values.try_emplace(dataset.path);
      if (is_first) {
        known->second = std::move(values);
      } else {
        combine(dataset, known->second, values);
      }
    }
  }
  return merged;
}

}  // namespace actsweep
