// One massive activation: an activation of the residual stream that passes the criterion, and the
// file's columns.
//
// In: events in the order of the file. Out: the columns of /massive. Mentions no tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace actsweep {

inline constexpr uint8_t kReadingSequenceMedian = 1;  // the official reading
inline constexpr uint8_t kReadingTokenMedian = 2;

inline constexpr float kNoUpdate = std::numeric_limits<float>::quiet_NaN();

struct Event {
  int64_t layer = 0;
  int64_t sequence = 0;
  int64_t position = 0;  // in its window
  int64_t document = 0;
  int64_t token = 0;  // number among the tokens measured
  uint32_t token_id = 0;
  uint8_t token_class = 0;
  uint8_t reading = 0;  // bit mask of kReading...
  uint32_t channel = 0;
  float value = 0;
  float ratio_to_sequence_median = 0;
  float ratio_to_token_median = 0;
  // With event_updates; the first three sum to `value`.
  float before = 0;
  float attention_update = 0;
  float mlp_update = 0;
  float next_attention_update = kNoUpdate;  // of the layer behind: none behind the last
  float next_mlp_update = kNoUpdate;
};

/// A dataset's values as they go into the file.
struct Column {
  std::string path;
  std::vector<std::byte> values;  // elements of the declared type, end to end
};

/// The columns of declare_massive_columns, in their order and of their types.
std::vector<Column> event_columns(std::span<const Event> events);
/// Those of declare_event_updates.
std::vector<Column> update_columns(std::span<const Event> events);

}  // namespace actsweep
