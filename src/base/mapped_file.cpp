#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace actsweep {

MappedFile::MappedFile(const std::string& path, ErrorKind kind) : path_(path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(file >= 0, kind, "{}: cannot be opened: {}", path, std::strerror(errno));
  struct stat status {};
  const bool is_file = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  if (is_file) state_ = state_of(status);
  void* mapped = size() > 0 ? ::mmap(nullptr, size(), PROT_READ, MAP_SHARED, file, 0) : nullptr;
  const int reason = errno;
  ::close(file);
  require(is_file, kind, "{}: expected a file, found something else", path);
  require(mapped != MAP_FAILED, kind, "{}: cannot be mapped: {}", path, std::strerror(reason));
  data_ = static_cast<std::byte*>(mapped);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      state_(std::exchange(other.state_, {})) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size());
}

void MappedFile::read_ahead(int64_t offset, int64_t length) const {
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t begin = offset / page * page;
  const int64_t end = std::min(offset + length, size());
  if (end > begin) ::madvise(data_ + begin, end - begin, MADV_WILLNEED);
}

}  // namespace actsweep
