#include "output/output_place.h"

#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "output/durable.h"
#include "output/process.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

constexpr auto kKind = ErrorKind::kOutput;
constexpr int kMostLinks = 40;  // as the kernel follows
constexpr const char* kLongestSegmentName = "/segment-000000.h5.part-1000";

/// The nearest folder above a path, or other thing in its place, that is there.
fs::path nearest_existing(const std::string& path) {
  fs::path place = folder_of(path);
  std::error_code error;
  while (!fs::exists(fs::symlink_status(place, error)) && place.has_parent_path() &&
         place != place.parent_path()) {
    place = place.parent_path();
  }
  return fs::exists(fs::symlink_status(place, error)) ? place : fs::path(".");
}

void check_lengths(const std::string& path, const std::string& asked) {
  const std::string name = fs::path(path).filename();
  const long name_limit = ::pathconf(nearest_existing(path).c_str(), _PC_NAME_MAX);
  const auto longest_name =
      static_cast<int64_t>(std::max(segment_folder(name).size(), partial_of(name).size()));
  const auto limit = static_cast<int64_t>(name_limit > 0 ? name_limit : NAME_MAX);
  const auto size = static_cast<int64_t>(name.size());
  require(longest_name <= limit, kKind,
          "{}: the name is too long: expected at most {} bytes, found {}", asked,
          limit - (longest_name - size), size);
  const auto longest_path =
      static_cast<int64_t>(partial_of(segment_folder(path) + kLongestSegmentName).size());
  const auto whole = static_cast<int64_t>(path.size());
  require(longest_path < PATH_MAX, kKind,
          "{}: the path is too long: expected at most {} bytes, found {}", asked,
          PATH_MAX - 1 - (longest_path - whole), whole);
}

void check_folder(const fs::path& folder, const std::string& path) {
  std::error_code error;
  const bool is_folder = fs::is_directory(folder, error);
  require(is_folder, kKind, "{}: expected {} to be a folder, found {}", path, folder.string(),
          error ? error.message() : "another kind of file");
  if (::access(folder.c_str(), W_OK | X_OK) == 0) return;
  const int reason = errno;
  fail(kKind,
       "{}: cannot be written: expected a folder in which files can be created, found {}: {}", path,
       folder.string(), std::strerror(reason));
}

}  // namespace

std::string segment_folder(const std::string& output_path) { return output_path + ".segments"; }

std::string resolve_output(const std::string& path) {
  require(!path.ends_with('/'), kKind,
          "{}: ends with a slash: expected the path of a file, found that of a folder", path);
  fs::path target = path;
  std::error_code error;
  for (int links = 0; fs::is_symlink(fs::symlink_status(target, error)); ++links) {
    require(links < kMostLinks, kKind, "{}: expected a file, found a link that leads to itself",
            path);
    const auto next = fs::read_symlink(target, error);
    require(!error, kKind, "{}: cannot read the link: {}", target.string(), error.message());
    target = next.is_absolute() ? next : target.parent_path() / next;
  }
  const std::string found = target.string();
  const auto name = target.filename().string();
  const auto status = fs::status(target, error);
  require(!name.empty() && name != "." && name != ".." && !fs::is_directory(status), kKind,
          "{}: is a folder: expected the path of a file", path);
  require(!fs::exists(status) || fs::is_regular_file(status), kKind,
          "{}: expected a file, found a device or something else", path);
  check_lengths(found, path);
  return found;
}

void check_writable(const std::string& path) {
  check_folder(nearest_existing(path), path);
  const std::string segments = segment_folder(path);
  std::error_code error;
  if (fs::exists(fs::symlink_status(segments, error))) check_folder(segments, path);
}

}  // namespace actsweep
