// One segment of the corpus on disk: written under a temporary name, committed by a rename.
//
// In: the datasets of the segment with its extents, values as they come. Out:
// FOLDER/segment-000012.h5, which exists only whole: closed, fsynced, renamed, its folder fsynced.
// The temporary name is this process' own.
// Serial HDF5, uncompressed. Refuses (ErrorKind::kOutput) what the file system refuses; a segment
// that is destroyed without a commit leaves no file. The part of a captured prompt is a SegmentFile
// too, with a number past the last segment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/h5.h"
#include "output/layout.h"

namespace actsweep {

/// Called after each named step of a commit or a consolidation, with the words that the log says.
using StepHook = std::function<void(std::string_view step)>;

/// What the names of segments begin with: "segment-000012.h5".
inline constexpr const char* kSegmentPrefix = "segment-";

class SegmentFile {
 public:
  /// `extents` gives the segment's own lengths; events and rows need none. `attributes` go to the
  /// root.
  SegmentFile(const std::string& folder, int64_t number, const std::vector<Dataset>& datasets,
              Extents extents, std::vector<Attribute> attributes);
  ~SegmentFile();
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  /// Writes one part of a dataset, whose elements lie densely in `values`; empty offset and count
  /// for a scalar.
  void write(const std::string& path, const std::vector<int64_t>& offset,
             const std::vector<int64_t>& count, const void* values);
  /// Adds `count` events or rows to a dataset of unknown length: all of the other axes for each, as
  /// in values [layers, count, order]. Kept in memory until the commit.
  void append(const std::string& path, int64_t count, const void* values);
  /// Writes what was appended, closes, fsyncs, renames, fsyncs the folder. Every element must have
  /// been written.
  void commit(const StepHook& on_step = {});

  /// Where the segment will lie.
  const std::string& path() const { return path_; }

 private:
  struct Appended {
    int64_t count = 0;
    std::vector<std::byte> values;
  };
  struct Column {
    Dataset dataset;
    H5Dataset file;               // open unless the length is unknown
    std::vector<Appended> parts;  // of unknown length, in order
    int64_t elements_written = 0;
  };

  Column& column(const std::string& path);
  void write_appended(Column& column);
  void check_complete() const;
  void step(std::string_view word, const StepHook& on_step) const;

  int64_t number_;
  std::string path_;
  std::string partial_path_;
  Extents extents_;
  std::vector<Attribute> attributes_;
  H5File file_;
  std::map<std::string, Column> columns_;
  int64_t held_bytes_ = 0;  // written since the disk was last told to begin
  bool is_committed_ = false;
};

/// The number of the segment that a file of this name would have become; nothing where the name is
/// that of no unfinished segment.
std::optional<int64_t> number_of_unfinished(const std::string& name);

/// A committed segment as found on disk.
struct FoundSegment {
  int64_t number = 0;
  std::string path;
  std::string identity;  // JSON of the job identity it was made under
  std::string device;    // what it was computed on
};

/// The committed segments of the folder in the order of their numbers; none where the folder is
/// missing. Opens each: one that is truncated or unreadable is an Error that names it.
std::vector<FoundSegment> find_segments(const std::string& folder);

}  // namespace actsweep
