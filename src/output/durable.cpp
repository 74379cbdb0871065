#include "output/durable.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"

namespace actsweep {

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  require(!error, ErrorKind::kOutput, "{}: cannot create the folder: {}", folder, error.message());
}

void sync_path(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(descriptor >= 0, ErrorKind::kOutput, "{}: cannot open for fsync: {}", path,
          std::strerror(errno));
  const int status = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  require(status == 0, ErrorKind::kOutput, "{}: fsync failed: {}", path, std::strerror(reason));
}

void rename_file(const std::string& from, const std::string& to) {
  require(std::rename(from.c_str(), to.c_str()) == 0, ErrorKind::kOutput,
          "{}: cannot rename to {}: {}", from, to, std::strerror(errno));
}

int64_t free_bytes(const std::string& folder) {
  struct statvfs status {};
  require(::statvfs(folder.c_str(), &status) == 0, ErrorKind::kOutput,
          "{}: cannot ask for the free space: {}", folder, std::strerror(errno));
  return static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize);
}

}  // namespace actsweep
