// What is left to do: the units of work of a job against the segments on disk.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "output/output_place.h"
#include "output/segment_file.h"
#include "run/inputs.h"

namespace actsweep {

/// What is on disk of a sweep.
struct SweepState {
  bool is_complete = false;            // the final file is there
  std::vector<FoundSegment> segments;  // committed
};

/// Refuses (kOutput) a final file and segments of another identity, naming the keys that differ.
SweepState find_state(const SweepInputs& inputs, const nlohmann::json& identity);

/// The units that are not committed: segments of the job's shard by number, then the captured
/// prompts (numbers from the count of segments on, in the job's order; those belong to shard 0).
std::vector<int64_t> pending_units(const SweepInputs& inputs, const SweepState& state);

}  // namespace actsweep
