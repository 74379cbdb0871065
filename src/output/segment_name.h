// The names of the files of a segment: "segment-000012.h5" of member 0 of its model group,
// "segment-000012.h5.part-1" of member 1, and what each is called while it is written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/h5.h"

namespace actsweep {

inline constexpr const char* kSegmentPrefix = "segment-";
inline constexpr const char* kSegmentSuffix = ".h5";

/// Which file of which segment.
struct SegmentPart {
  int64_t number = 0;   // of the segment
  int64_t member = 0;   // of the model group that measures it
  int64_t members = 1;  // whose files the segment is made of
};

std::string name_of(const SegmentPart& part);
/// "segment 12", "segment 12 part 1", as the log and the step hooks have them.
std::string words_of(const SegmentPart& part);
/// The path of a member's file, from member 0's.
std::string path_of_part(const std::string& segment, int64_t member);
/// Of how many files the segment is made whose first one this is; any other file is alone.
int64_t members_of(const H5File& file);

/// What the name of a file says that a killed run may have left. Nothing where it is no such name,
/// as that of a segment is none.
struct Leftover {
  int64_t number = 0;
  /// Empty of a file that was being written. Of a committed part the segment's name: without that
  /// file the part belongs to nothing.
  std::string segment;
};
std::optional<Leftover> leftover_of(const std::string& name);

}  // namespace actsweep
