#include "checkpoint/digest_cache.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/content_hash.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

std::string hash_of(const std::string& text) {
  ContentHash hash;
  hash.add(std::string_view(text));
  return hash.hex();
}

/// The user's caches, as the XDG Base Directory Specification places them; empty where nowhere.
fs::path cache_folder() {
  const auto from = [](const char* variable) -> fs::path {
    const char* value = std::getenv(variable);
    const fs::path path = value == nullptr ? "" : value;
    return path.is_absolute() ? path : fs::path();
  };
  if (const auto caches = from("XDG_CACHE_HOME"); !caches.empty()) return caches / "actsweep";
  const auto home = from("HOME");
  return home.empty() ? home : home / ".cache" / "actsweep";
}

/// Where a file's digests are kept, whichever link leads to it.
fs::path entry_of(const std::string& real_path) {
  const auto folder = cache_folder();
  return folder.empty() ? folder : folder / ("weights-" + hash_of(real_path));
}

std::optional<std::string> real_path_of(const std::string& path) {
  std::error_code error;
  const auto real = fs::canonical(path, error).string();
  if (error || real.find('\n') != std::string::npos) return std::nullopt;
  return real;
}

std::string head_of(const std::string& real_path, const FileState& state) {
  return fmt::format("actsweep XXH3 1\n{}\n{} {} {} {} {}\n", real_path, state.device, state.inode,
                     state.size, state.modified_ns, state.changed_ns);
}

/// Whether a change from now on must alter the file's times: they may count jiffies, or, where they
/// have no fractions, seconds.
bool is_settled(const FileState& state) {
  constexpr int64_t kSecond = 1'000'000'000, kJiffies = 50'000'000;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t now_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  const int64_t grain = state.changed_ns % kSecond == 0 ? 2 * kSecond : kJiffies;
  return now_ns - state.changed_ns > grain;
}

void write_whole(const fs::path& entry, const std::string& text) {
  auto partial = (entry.parent_path() / ".partial-XXXXXX").string();
  const int file = ::mkstemp(partial.data());
  if (file < 0) return;
  const auto wanted = static_cast<ssize_t>(text.size());
  const bool is_whole = ::write(file, text.data(), text.size()) == wanted;
  ::close(file);
  std::error_code error;
  if (is_whole) fs::rename(partial, entry, error);
  if (!is_whole || error) fs::remove(partial, error);
}

}  // namespace

RangeDigests read_digest_cache(const std::string& path, const FileState& state) {
  const auto real_path = real_path_of(path);
  if (!real_path) return {};
  std::ifstream file(entry_of(*real_path), std::ios::binary);
  std::stringstream whole;
  whole << file.rdbuf();
  const auto text = whole.str(), head = head_of(*real_path, state);
  const auto sum = text.rfind("sum ");
  if (!text.starts_with(head) || sum == std::string::npos || sum < head.size()) return {};
  if (text.substr(sum) != "sum " + hash_of(text.substr(0, sum)) + "\n") return {};
  RangeDigests digests;
  std::istringstream lines(text.substr(head.size(), sum - head.size()));
  ByteRange range;
  for (std::string digest; lines >> range.offset >> range.bytes >> digest;) digests[range] = digest;
  return digests;
}

void write_digest_cache(const std::string& path, const FileState& state,
                        const RangeDigests& digests) {
  const auto real_path = real_path_of(path);
  if (!real_path || !is_settled(state)) return;
  const auto entry = entry_of(*real_path);
  if (entry.empty()) return;
  std::error_code error;
  fs::create_directories(entry.parent_path(), error);
  auto text = head_of(*real_path, state);
  for (const auto& [range, digest] : digests) {
    text += fmt::format("{} {} {}\n", range.offset, range.bytes, digest);
  }
  write_whole(entry, text + "sum " + hash_of(text) + "\n");
}

}  // namespace actsweep
