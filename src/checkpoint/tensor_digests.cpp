#include "checkpoint/tensor_digests.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/content_hash.h"

namespace actsweep {
namespace {

constexpr int64_t kBlock = 4 << 20;
constexpr size_t kMostThreads = 8;  // what keeps a network's file system busy
constexpr auto kEvery = std::chrono::seconds(5);

/// One range to be read.
struct Piece {
  size_t file = 0;
  ByteRange range;
};

class Hashing {
 public:
  Hashing(std::vector<FileRanges>& files, const std::function<void(const FileRanges&)>& on_file)
      : files_(files), on_file_(on_file), left_(files.size(), 0) {
    for (size_t file = 0; file < files.size(); ++file) {
      for (const auto& range : files[file].wanted) {
        if (files[file].digests.contains(range)) continue;
        pieces_.push_back({file, range});
        ++left_[file];
        all_ += range.bytes;
      }
    }
  }

  /// Hashes on threads of its own and calls `on_hashed` from this one.
  void run(const std::function<void(int64_t, int64_t)>& on_hashed) {
    const size_t count = std::min({kMostThreads, pieces_.size(), all_threads()});
    {
      std::vector<std::jthread> threads;
      for (size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
      std::unique_lock lock(mutex_);
      while (!ended_.wait_for(lock, kEvery, [&] { return ended_threads_ == count; })) {
        if (on_hashed) on_hashed(done_, all_);
      }
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  /// Two of each core, since most of the time they wait for the disk.
  static size_t all_threads() { return 2 * std::max(1u, std::thread::hardware_concurrency()); }

  void work() {
    try {
      std::vector<std::byte> block(kBlock);
      std::optional<FileReader> reader;
      for (size_t i = next_++; i < pieces_.size() && !has_failed_; i = next_++) {
        const auto& piece = pieces_[i];
        const auto& file = *files_[piece.file].file;
        if (!reader || reader->path() != file.path())
          reader.emplace(file.path(), ErrorKind::kModel);
        finish(piece, digest(*reader, piece.range, block), *reader);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      has_failed_ = true;
    }
    const std::lock_guard lock(mutex_);
    ++ended_threads_;
    ended_.notify_all();
  }

  std::string digest(const FileReader& reader, const ByteRange& range,
                     std::vector<std::byte>& block) {
    ContentHash hash;
    for (int64_t at = 0; at < range.bytes && !has_failed_; at += kBlock) {
      const auto bytes = static_cast<size_t>(std::min(kBlock, range.bytes - at));
      const auto part = std::span(block).first(bytes);
      reader.read(range.offset + at, part);
      hash.add(part);
      done_ += static_cast<int64_t>(bytes);
    }
    return hash.hex();
  }

  void finish(const Piece& piece, const std::string& digest, const FileReader& reader) {
    const std::lock_guard lock(mutex_);
    auto& file = files_[piece.file];
    file.digests[piece.range] = digest;
    if (--left_[piece.file] > 0 || has_failed_) return;
    require(reader.state() == file.file->state(), ErrorKind::kModel,
            "{}: has changed while it was read: expected a file that stays as it is",
            file.file->path());
    on_file_(file);
  }

  std::vector<FileRanges>& files_;
  const std::function<void(const FileRanges&)>& on_file_;
  std::vector<Piece> pieces_;
  std::vector<size_t> left_;  // pieces of each file
  int64_t all_ = 0;
  std::atomic<size_t> next_ = 0;
  std::atomic<int64_t> done_ = 0;
  std::atomic<bool> has_failed_ = false;
  std::mutex mutex_;
  std::condition_variable ended_;
  size_t ended_threads_ = 0;
  std::exception_ptr error_;
};

}  // namespace

void hash_ranges(std::vector<FileRanges>& files,
                 const std::function<void(const FileRanges&)>& on_file,
                 const std::function<void(int64_t, int64_t)>& on_hashed) {
  Hashing(files, on_file).run(on_hashed);
}

}  // namespace actsweep
