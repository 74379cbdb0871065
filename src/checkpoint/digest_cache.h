// Digests of parts of files that an earlier start has read, so that a start reads what is new.
//
// One small file for each file that was read, in $XDG_CACHE_HOME/actsweep, else in
// ~/.cache/actsweep; it counts while path and state of the file are what they were. A folder or a
// file that cannot be read or written, or holds something else, is as none; nothing is an error.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "base/file_reader.h"

namespace actsweep {

struct ByteRange {
  int64_t offset = 0;
  int64_t bytes = 0;

  auto operator<=>(const ByteRange&) const = default;
};

using RangeDigests = std::map<ByteRange, std::string>;

RangeDigests read_digest_cache(const std::string& path, const FileState& state);

/// Keeps the digests of a file in this state. Another process that writes the same is no harm. Does
/// nothing while the file is so young that a change could leave its times as they are.
void write_digest_cache(const std::string& path, const FileState& state,
                        const RangeDigests& digests);

}  // namespace actsweep
