// Fields of parts, combined by their merge rules.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "output/parts.h"
#include "schema/derive.h"

namespace actsweep {

/// into = into (sum | max | min) from, element by element, in the elements' own type.
void combine(const Dataset& dataset, std::span<std::byte> into, std::span<const std::byte> from);

/// Every sum, maximum and minimum over the parts, in their order.
MergedFields merge_fields(Parts& parts, const std::vector<PartLengths>& lengths,
                          const std::vector<Dataset>& datasets, const Extents& extents);

}  // namespace actsweep
