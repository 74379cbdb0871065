// A file mapped for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/file_reader.h"

namespace actsweep {

class MappedFile {
 public:
  /// Maps the whole file; an Error of `kind` names the file and the system's reason. An empty file
  /// maps to nothing.
  MappedFile(const std::string& path, ErrorKind kind);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const std::byte* data() const { return data_; }
  int64_t size() const { return state_.size; }
  /// When it was mapped.
  const FileState& state() const { return state_; }
  /// Asks the system to read these bytes ahead.
  void read_ahead(int64_t offset, int64_t length) const;

 private:
  std::string path_;
  std::byte* data_ = nullptr;
  FileState state_;
};

}  // namespace actsweep
