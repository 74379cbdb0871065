// What a sweep file says of itself at its root.
#pragma once

#include <string>
#include <vector>

#include "base/h5.h"
#include "output/segment_file.h"
#include "plan/layout.h"
#include "run/inputs.h"

namespace actsweep {

/// The attributes of every segment: identity and device.
std::vector<Attribute> segment_attributes(const nlohmann::json& identity,
                                          const std::string& device);

/// The root attributes of the finished file. `segments` tell the devices that took part;
/// `is_mixed`: the groups of this run differ.
std::vector<Attribute> root_attributes(const SweepInputs& inputs, const SweepLayout& layout,
                                       const nlohmann::json& identity,
                                       const std::vector<FoundSegment>& segments, bool is_mixed);

/// The datasets that no segment holds: the vocabulary and the edges of the magnitude bins.
std::map<std::string, std::vector<std::byte>> constant_datasets(const SweepInputs& inputs);

}  // namespace actsweep
