#include "output/durable.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>

#include "base/error.h"

namespace actsweep {
namespace {

int open_or_fail(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  require(descriptor >= 0, ErrorKind::kOutput, "{}: cannot open: {}", path, std::strerror(errno));
  return descriptor;
}

}  // namespace

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  require(!error, ErrorKind::kOutput, "{}: cannot create the folder: {}", folder, error.message());
}

void start_writing(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
  ::close(descriptor);
}

void sync_path(const std::string& path) {
  const int descriptor = open_or_fail(path, O_RDONLY);
  const int status = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  require(status == 0, ErrorKind::kOutput, "{}: fsync failed: {}", path, std::strerror(reason));
}

void wait_for_file(const std::string& path, double limit_s) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(limit_s);
  std::error_code reason;
  while (!std::filesystem::exists(path, reason)) {
    require(Clock::now() < end, ErrorKind::kOutput,
            "{}: was made by another rank, but is not to be seen here after {:.0f} s: expected a "
            "file system that all nodes share",
            path, limit_s);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    // Reading the folder has the system ask the server anew.
    for (std::filesystem::directory_iterator entry(folder_of(path), reason), last;
         !reason && entry != last; entry.increment(reason)) {
    }
  }
}

void rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) == 0) return;
  fail(ErrorKind::kOutput, "{}: cannot rename to {}: {}", from, to, std::strerror(errno));
}

void reserve_bytes(const std::string& path, int64_t bytes) {
  struct statvfs space {};
  const int asked = ::statvfs(path.c_str(), &space);
  require(asked == 0, ErrorKind::kOutput, "{}: cannot ask for the free space: {}", path,
          std::strerror(errno));
  const auto free = static_cast<int64_t>(space.f_bavail) * static_cast<int64_t>(space.f_frsize);
  require(bytes <= free, ErrorKind::kOutput,
          "{}: needs up to {} KiB more on the disk, which has {} KiB free", path, bytes / 1024,
          free / 1024);
  const int descriptor = open_or_fail(path, O_WRONLY);
  const off_t end = ::lseek(descriptor, 0, SEEK_END);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const int status = ::fallocate(descriptor, FALLOC_FL_KEEP_SIZE, end, bytes);
  int reason = status == 0 ? 0 : errno;
  ::close(descriptor);
  // The limit holds for writes, not for blocks.
  if (static_cast<rlim_t>(end + bytes) > limit.rlim_cur) reason = EFBIG;
  require(reason == 0 || reason == EOPNOTSUPP, ErrorKind::kOutput,
          "{}: cannot set {} KiB aside: {}", path, bytes / 1024, std::strerror(reason));
}

void release_reserve(const std::string& path) {
  const int descriptor = open_or_fail(path, O_WRONLY);
  const off_t end = ::lseek(descriptor, 0, SEEK_END);
  const int status = end < 0 ? -1 : ::ftruncate(descriptor, end);
  const int reason = errno;
  ::close(descriptor);
  require(status == 0, ErrorKind::kOutput, "{}: cannot trim: {}", path, std::strerror(reason));
}

}  // namespace actsweep
