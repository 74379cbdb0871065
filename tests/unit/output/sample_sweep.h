// A small sweep whose every value is a formula of its dataset and place, so that any cut into
// segments can be checked.
//
// Windows of 16 tokens, five a micro-batch; documents of 1000; one event a window in layers 1 and
// 2, at position 0, channel 3.
#pragma once

#include <string>
#include <vector>

#include "job/job.h"
#include "output/consolidate.h"

namespace actsweep {

struct SampleSweep {
  std::vector<int64_t> segment_tokens = {16000, 8000, 12000, 4000};  // whole windows
  int64_t first_token = 0;  // of the whole corpus; a whole number of documents and windows
  int64_t members = 1;      // of the model group, each with a file of its own of every segment
  PerToken per_token = PerToken::kAll;
  bool has_events = true;
  std::string corpus_fingerprint = "c0";
  std::string folder;
};

inline constexpr int64_t kSampleWindow = 16;
inline constexpr int64_t kSampleMicrobatch = 5 * kSampleWindow;  // tokens
inline constexpr int64_t kSampleDocument = 1000;

Job sample_job(const SampleSweep& sweep);
/// Lengths for `tokens` tokens, with the events and rows that they bring.
Extents sample_extents(const SampleSweep& sweep, int64_t tokens);
/// The tokens of all segments.
int64_t sample_tokens(const SampleSweep& sweep);
/// The values of a dataset over `tokens` tokens from this one of the whole corpus; fields are
/// theirs alone.
std::vector<std::byte> sample_values(const SampleSweep& sweep, const Dataset& dataset,
                                     int64_t first_token, int64_t tokens);
/// Writes and commits the captured prompt as unit `number`; gives its path.
std::string write_sample_capture(const SampleSweep& sweep, const std::string& prompt,
                                 int64_t number, int64_t tokens);
/// Writes and commits the segments and two captured prompts; gives their paths.
std::vector<std::string> write_sample_segments(const SampleSweep& sweep);
/// What consolidates them into `target`.
Assembly sample_assembly(const SampleSweep& sweep, const std::vector<std::string>& parts,
                         const std::string& target);

}  // namespace actsweep
