// One massive activation: an activation of the residual stream that passes the criterion, and the
// file's columns.
//
// In: events in the order of the file. Out: the columns of /massive. Mentions no tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace actsweep {

inline constexpr uint8_t kReadingSequenceMedian = 1;  // the official reading
inline constexpr uint8_t kReadingTokenMedian = 2;

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
};

/// A dataset's values as they go into the file.
struct Column {
  std::string path;
  std::vector<std::byte> values;  // elements of the declared type, end to end
};

/// The declared columns of /massive, in the order and of the types of declare_datasets.
std::vector<Column> event_columns(std::span<const Event> events);

}  // namespace actsweep
