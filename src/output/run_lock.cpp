#include "output/run_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "output/durable.h"
#include "output/lock_holder.h"
#include "output/output_place.h"
#include "output/segment_name.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

constexpr auto kKind = ErrorKind::kOutput;
constexpr const char* kLock = "lock";
constexpr int kAttempts = 100;

std::string lock_name(LockedShard shard) {
  return shard.count == 1 ? kLock : fmt::format("{}-{}-of-{}", kLock, shard.index, shard.count);
}

/// Whether two locks cannot be held at once, by the name of the other.
bool excludes(LockedShard mine, const std::string& other) {
  return mine.count == 1 || !other.ends_with(fmt::format("-of-{}", mine.count));
}

std::vector<std::string> names_in(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    names.push_back(entry->path().filename());
  }
  require(!error || error == std::errc::no_such_file_or_directory, kKind,
          "{}: cannot list the folder: {}", folder, error.message());
  return names;
}

/// Returns why not all was written: an errno, or 0. What was written in part sets none: the next
/// call says why.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) return errno;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

bool is_same_file(int descriptor, const std::string& path) {
  struct stat mine {
  }, there{};
  return ::fstat(descriptor, &mine) == 0 && ::stat(path.c_str(), &there) == 0 &&
         mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

[[noreturn]] void refuse(const std::string& output, const std::string& lock,
                         const LockHolder& holder) {
  fail(kKind, "{}: another run has this output: expected none, found {}; {}", output,
       describe(holder), how_to_go_on(holder, lock));
}

/// Leaves the path free, or refuses it where its holder lives.
void clear(const std::string& output, const std::string& lock) {
  const OpenLock found(lock);
  if (!found.is_there()) return;
  const auto holder = found.holder();
  if (!is_ended(holder)) refuse(output, lock, holder);
  // Of several that find it so, one at a time goes on; that it still is so is asked once more.
  if (!found.reserve() || !is_same_file(found.descriptor(), lock) || !is_ended(found.holder())) {
    return;
  }
  ::unlink(lock.c_str());
}

}  // namespace

RunLock::RunLock(const std::string& output, LockedShard shard, std::chrono::milliseconds pause)
    : output_(output),
      folder_(segment_folder(output)),
      path_(folder_ + "/" + lock_name(shard)),
      shard_(shard),
      text_(text_of_this_run()) {
  take();
  try {
    refuse_others();
  } catch (...) {
    release();
    throw;
  }
  keeper_ = std::jthread([this, pause](const std::stop_token& stop) { keep(stop, pause); });
}

RunLock::~RunLock() {
  keeper_.request_stop();
  keeper_.join();
  release();
}

void RunLock::take() {
  for (int i = 0; i < kAttempts; ++i) {
    make_folder(folder_);
    clear(output_, path_);
    // Creation is atomic on every file system that nodes share.
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) break;
    // Somebody was faster, or removes the folder at the end of a run.
    require(errno == EEXIST || errno == ENOENT, kKind, "{}: cannot create the lock: {}", path_,
            std::strerror(errno));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  require(descriptor_ >= 0, kKind, "{}: cannot create the lock: other runs take it each time",
          path_);
  const int reason = write_all(descriptor_, text_);
  if (reason == 0) return;
  release();
  fail(kKind, "{}: cannot write the lock: {}", path_, std::strerror(reason));
}

/// The lock is there before the others are looked for: of two runs that begin at once, none misses
/// the other.
void RunLock::refuse_others() {
  const std::string own = lock_name(shard_);
  for (const auto& name : names_in(folder_)) {
    if (name == own || !is_lock_name(name) || !excludes(shard_, name)) continue;
    clear(output_, folder_ + "/" + name);
  }
}

void RunLock::release() {
  if (descriptor_ < 0) return;
  const bool is_mine = is_same_file(descriptor_, path_);
  ::close(descriptor_);  // first: a network file system would keep an open file under another name
  descriptor_ = -1;
  if (is_mine) ::unlink(path_.c_str());
  ::rmdir(folder_.c_str());
}

void RunLock::keep(const std::stop_token& stop, std::chrono::milliseconds pause) {
  std::unique_lock lock(mutex_);
  while (!woken_.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); })) {
    ::futimens(descriptor_, nullptr);
    struct stat there {};
    const bool is_seen = ::stat(path_.c_str(), &there) == 0;
    const bool is_gone = !is_seen && errno == ENOENT;  // not: a network that fails for a while
    if (is_gone || (is_seen && !is_same_file(descriptor_, path_))) is_lost_ = true;
  }
}

void RunLock::check() const {
  require(!is_lost_, kKind,
          "{}: the lock of this run was removed, or another run has taken it: expected to be the "
          "only run of {}; what was committed stays",
          path_, output_);
}

void release_lock(const std::string& path, const std::string& text) {
  {
    const OpenLock found(path);
    if (!found.is_there() || found.text() != text) return;
  }
  ::unlink(path.c_str());
  ::rmdir(folder_of(path).c_str());
}

void remove_unfinished(const std::string& output, LockedShard shard) {
  std::error_code ignored;
  const std::string folder = segment_folder(output);
  for (const auto& name : names_in(folder)) {
    const auto left = leftover_of(name);
    if (!left || left->number % shard.count != shard.index) continue;
    const bool has_segment =
        !left->segment.empty() && fs::exists(folder + "/" + left->segment, ignored);
    if (!has_segment) fs::remove(folder + "/" + name, ignored);
  }
  if (shard.count > 1) return;
  const std::string above = folder_of(output), own = fs::path(output).filename();
  for (const auto& name : names_in(above)) {
    if (is_partial_of(name, own)) fs::remove(above + "/" + name, ignored);
  }
}

void remove_segments(const std::string& output) {
  const std::string folder = segment_folder(output);
  for (const auto& name : names_in(folder)) {
    std::error_code ignored;
    if (name.starts_with(kSegmentPrefix)) fs::remove(folder + "/" + name, ignored);
  }
}

}  // namespace actsweep
