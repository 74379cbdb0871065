// A file read by offset, in pieces, from any thread that has a reader of its own.
//
// Refuses (an Error of the given kind, naming the file) what cannot be opened, is no file, or ends
// before what is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

struct stat;

namespace actsweep {

/// Tells one state of a file from another without reading it.
struct FileState {
  int64_t device = 0;
  int64_t inode = 0;
  int64_t size = 0;
  int64_t modified_ns = 0;  // since 1970
  int64_t changed_ns = 0;   // of the inode: no program sets it

  bool operator==(const FileState&) const = default;
};

FileState state_of(const struct stat& status);

class FileReader {
 public:
  FileReader(const std::string& path, ErrorKind kind);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  const std::string& path() const { return path_; }
  /// As it is now.
  FileState state() const;
  /// Fills `into` with the bytes from `offset` on.
  void read(int64_t offset, std::span<std::byte> into) const;

 private:
  std::string path_;
  ErrorKind kind_;
  int file_ = -1;
};

}  // namespace actsweep
