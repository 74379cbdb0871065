// One member's file of a segment: written under a temporary name of this process' own, committed by
// a rename.
//
// In: the datasets that the member has a share of, values as they come. Out: of member 0
// FOLDER/segment-000012.h5, whose presence is the segment's commit, of member 1 the part
// segment-000012.h5.part-1 beside it. Each exists only whole: closed, fsynced, renamed, its folder
// fsynced. Serial HDF5, compressed in the sweep file's chunks (row_place.h). Refuses
// (ErrorKind::kOutput) what the file system refuses; destroyed without a commit it leaves no file.
// A captured prompt's file is one too, of member 0 alone, with a number past the last segment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/h5.h"
#include "output/layout.h"
#include "output/row_chunks.h"
#include "output/row_place.h"
#include "output/segment_name.h"

namespace actsweep {

/// Called after each named step of a commit or a consolidation, with the words that the log says.
using StepHook = std::function<void(std::string_view step)>;

class SegmentFile {
 public:
  /// `extents` gives the lengths of this file; events and rows need none, nor do stored rows.
  /// `attributes` go to the root; `place` says where its rows lie in the sweep.
  SegmentFile(const std::string& folder, const SegmentPart& part,
              const std::vector<Dataset>& datasets, Extents extents,
              std::vector<Attribute> attributes, const RowPlace& place = {});
  ~SegmentFile();
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  /// Writes one part of a dataset, whose elements lie densely in `values`; empty offset and count
  /// for a scalar.
  void write(const std::string& path, const std::vector<int64_t>& offset,
             const std::vector<int64_t>& count, const void* values);
  /// Adds `count` events or rows to a dataset of unknown length: all of the other axes for each, as
  /// in values [layers, count, order]. Kept in memory until the commit, but for stored rows, which
  /// are written at once.
  void append(const std::string& path, int64_t count, const void* values);
  /// Writes what was appended and the counts of each micro-batch, of which a captured prompt has
  /// none; closes and fsyncs. Every element must have been written.
  void finish(std::span<const RowCounts> of_microbatches, const StepHook& on_step = {});
  /// Of a finished file: renames, fsyncs the folder. Makes no call of HDF5's.
  void commit(const StepHook& on_step = {});

  /// Where the file will lie.
  const std::string& path() const { return path_; }

 private:
  struct Appended {
    int64_t count = 0;
    std::vector<std::byte> values;
  };
  /// How a dataset is cut into chunks.
  struct Grid {
    std::vector<hsize_t> chunk = {};
    int64_t padding = 0;  // rows
  };
  struct Column {
    Dataset dataset;
    bool has_length = false;        // from the beginning
    H5Dataset file;                 // open unless parts wait
    bool is_packed = false;         // in chunks
    std::optional<RowChunks> rows;  // of one with rows
    std::vector<Appended> parts;    // of unknown length, in order
    int64_t appended = 0;
    int64_t elements_written = 0;
  };

  Column& column(const std::string& path);
  Grid grid_of(const Dataset& dataset) const;
  void create(Column& target);
  void write_part(Column& target, const Hyperslab& part, const void* values);
  void write_packed(const Column& target, const std::vector<PackedChunk>& chunks);
  void note_written(int64_t bytes);
  void write_appended(Column& column);
  int64_t rows_of(const Column& of) const;
  void check_complete() const;
  void check_counts(const RowCounts& counted) const;
  void step(std::string_view word, const StepHook& on_step) const;

  SegmentPart part_;
  std::string path_;
  std::string partial_path_;
  Extents extents_;  // of its own rows, without padding
  std::vector<Attribute> attributes_;
  RowPlace place_;
  ChunkPacker packer_;
  H5File file_;
  std::map<std::string, Column> columns_;
  int64_t held_bytes_ = 0;  // written since the disk was last told to begin
  bool is_committed_ = false;
};

/// A committed segment as found on disk.
struct FoundSegment {
  int64_t number = 0;
  std::string path;      // of member 0's file
  std::string identity;  // JSON of the job identity it was made under
  std::string device;    // what it was computed on
};

/// The committed segments of the folder in the order of their numbers; none where the folder is
/// missing. Opens each and its parts: one that is missing, truncated or unreadable, or a part of
/// another segment, is an Error that names it.
std::vector<FoundSegment> find_segments(const std::string& folder);

}  // namespace actsweep
