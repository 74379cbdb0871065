// The events of a finished sweep file, counted by layer and by channel, a slab of the file at a
// time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/h5.h"

namespace actsweep {

struct LargestEvent {
  float value = 0;
  float median = 0;  // of its sequence
  float ratio = 0;   // to that median
  int64_t layer = 0;
};

struct LayerFindings {
  int64_t events = 0;
  std::map<int64_t, int64_t> channels;   // channel -> events
  std::map<int64_t, int64_t> positions;  // position -> events
  std::map<int64_t, int64_t> tokens;     // id -> events
  LargestEvent largest;
};

struct ChannelFindings {
  int64_t events = 0;
  int64_t at_position_0 = 0;
  int64_t first_layer = 0;
  int64_t last_layer = 0;
  LargestEvent largest;
};

struct Findings {
  std::map<int64_t, LayerFindings> layers;
  std::map<int64_t, ChannelFindings> channels;
};

Findings read_findings(const H5File& file);

/// The bytes of every id, from /vocabulary.
class Vocabulary {
 public:
  explicit Vocabulary(const H5File& file);
  /// Empty for an id beyond the vocabulary.
  std::string bytes_of(int64_t id) const;

 private:
  std::string bytes_;
  std::vector<uint64_t> offset_;
};

}  // namespace actsweep
