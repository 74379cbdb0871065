// Fields of parts, combined by their merge rules.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "output/parts.h"
#include "schema/derive.h"

namespace actsweep {

/// into = into (sum | max | min) from, element by element, in the elements' own type.
void combine(const Dataset& dataset, std::span<std::byte> into, std::span<const std::byte> from);

/// The same of all fields by path, and of what goes with maxima: that of the larger one, of `into`
/// where both are equal.
void combine_all(const std::vector<Dataset>& datasets,
                 std::map<std::string, std::vector<std::byte>>& into,
                 const std::map<std::string, std::vector<std::byte>>& from);

/// Every field over the parts, in their order. `adds_offsets`: numbers that count along an axis
/// count from each part's own beginning.
MergedFields merge_fields(Parts& parts, const std::vector<PartLengths>& lengths,
                          const std::vector<Dataset>& datasets, const Extents& extents,
                          bool adds_offsets);

}  // namespace actsweep
