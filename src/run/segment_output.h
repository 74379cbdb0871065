// One member's file of a segment, by tasks for its I/O thread.
//
// In: parts of datasets as bytes, in any order of layers and blocks. Out: a committed file.
// All HDF5 calls happen on the I/O thread; an error there shows in `io.failed()` and is thrown by
// `io.drain()`.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "output/io_thread.h"
#include "output/segment_file.h"

namespace actsweep {

/// Where segments go and what each of them says of itself.
struct SegmentFolder {
  std::string path;
  std::vector<Attribute> attributes;  // identity, device
  StepHook on_step;
};

/// A hook that calls `on_step` with the words behind "NAME: ", as the log has them.
StepHook steps_of(const std::string& name, const StepHook& on_step);

class SegmentOutput {
 public:
  SegmentOutput(IoThread& io, const SegmentFolder& folder, const SegmentPart& part,
                const std::vector<Dataset>& datasets, const Extents& extents,
                const RowPlace& place = {});
  /// Drops the file unless it was committed.
  ~SegmentOutput();
  SegmentOutput(const SegmentOutput&) = delete;
  SegmentOutput& operator=(const SegmentOutput&) = delete;

  void write(const std::string& path, std::vector<int64_t> offset, std::vector<int64_t> count,
             std::vector<std::byte> values);
  /// Contiguous values on the host, which nobody may change from here on.
  void write(const std::string& path, std::vector<int64_t> offset, std::vector<int64_t> count,
             const at::Tensor& values);
  void append(const std::string& path, int64_t count, std::vector<std::byte> values);
  /// Contiguous values on the host, as for write.
  void append(const std::string& path, int64_t count, const at::Tensor& values);
  /// Closes the file; nothing can be written from here on.
  void finish(std::vector<RowCounts> of_microbatches);
  /// Gives the finished file its name.
  void commit();
  /// Does so at once, of a file whose finish has run.
  void commit_here() { (*file_)->commit(on_step_); }

 private:
  using Holder = std::shared_ptr<std::unique_ptr<SegmentFile>>;

  IoThread& io_;
  Holder file_;  // made, used and destroyed on the I/O thread
  StepHook on_step_;
};

}  // namespace actsweep
