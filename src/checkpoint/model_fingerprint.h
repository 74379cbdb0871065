// The fingerprint of a model: of everything in its checkpoint that can change a number.
//
// SHA-256 over config.json without paths and versions, the quantisation where a file beside it has
// that, and, in the order of the family's names for the tensors that are read, name, dtype, shape
// and the XXH3 digest of all bytes, of scales too: independent of shards, their order, and which of
// two tied tensors is stored. Digests are kept (digest_cache), so that only new files are read.
// Refuses (kModel) files that cannot be read, or change meanwhile.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "checkpoint/checkpoint.h"

namespace actsweep {

/// Called now and then while weights are read: bytes done, bytes of all.
using OnHashed = std::function<void(int64_t done, int64_t all)>;

/// Reads what no earlier start has read, on several threads, and keeps it.
std::string fingerprint_of(const Checkpoint& checkpoint, const OnHashed& on_hashed = {});

/// Of the classifier beside it, which no other number depends on: SHA-256 over names, dtypes,
/// shapes and bytes of its tensors, and how it reads the rows. Empty where none is read.
std::string classifier_fingerprint_of(const Checkpoint& checkpoint);

/// The same where earlier starts have read all of it; reads no weights.
std::optional<std::string> known_fingerprint_of(const Checkpoint& checkpoint);

}  // namespace actsweep
