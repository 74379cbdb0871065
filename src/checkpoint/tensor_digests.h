// Digests of ranges of files, read in large blocks on several threads, not through a map.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/digest_cache.h"

namespace actsweep {

/// The ranges of one file.
struct FileRanges {
  std::shared_ptr<const MappedFile> file;
  std::vector<ByteRange> wanted;
  RangeDigests digests;  // those that are known
};

/// Reads the ranges whose digests are not known. `on_file` is called with each file of which all
/// are, from any thread, one call at a time; `on_hashed` now and then, with bytes done and of all.
/// Refuses (kModel) a file that cannot be read or changes meanwhile.
void hash_ranges(std::vector<FileRanges>& files,
                 const std::function<void(const FileRanges&)>& on_file,
                 const std::function<void(int64_t, int64_t)>& on_hashed);

}  // namespace actsweep
