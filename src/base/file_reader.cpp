#include "base/file_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace actsweep {
namespace {

int64_t nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileState state_of(const struct stat& status) {
  return {static_cast<int64_t>(status.st_dev), static_cast<int64_t>(status.st_ino), status.st_size,
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

FileReader::FileReader(const std::string& path, ErrorKind kind)
    : path_(path), kind_(kind), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  require(file_ >= 0, kind, "{}: cannot be opened: {}", path, std::strerror(errno));
  struct stat status {};
  const bool is_file = ::fstat(file_, &status) == 0 && S_ISREG(status.st_mode);
  if (!is_file) ::close(file_);
  require(is_file, kind, "{}: expected a file, found something else", path);
}

FileReader::~FileReader() { ::close(file_); }

FileState FileReader::state() const {
  struct stat status {};
  const int asked = ::fstat(file_, &status);  // arguments have no order: errno is read after it
  require(asked == 0, kind_, "{}: cannot be read: {}", path_, std::strerror(errno));
  return state_of(status);
}

void FileReader::read(int64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const auto got = ::pread(file_, into.data(), into.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, kind_, "{}: cannot be read: {}", path_, std::strerror(errno));
    require(got > 0, kind_, "{}: truncated: expected {} more bytes at offset {}, found its end",
            path_, into.size(), offset);
    offset += got;
    into = into.subspan(static_cast<size_t>(got));
  }
}

}  // namespace actsweep
