// Which files of a checkpoint's directory hold its weights, chosen as transformers' from_pretrained
// chooses: config.json's `transformers_weights`, else model.safetensors, else the shards that
// model.safetensors.index.json names.
//
// In: the directory. Out: every tensor of those files; of a name in two shards that of the later
// one. Where a tensor lies is the shards' own matter: an index only names shards. Refuses (kModel)
// a directory without such files, naming those that it has; shards that are missing or lie
// elsewhere; an index that is none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/safetensors.h"

namespace actsweep {

struct CheckpointFiles {
  std::map<std::string, StoredTensor> tensors;
  std::map<std::string, std::string> aliases;  // of names that are not stored: left out -> kept
  std::vector<std::string> warnings;           // one line each
};

CheckpointFiles open_checkpoint_files(const std::string& directory, const Config& config);

/// Refuses what lies in the place of a directory's JSON files after a clone or a download that
/// went wrong. Returns the directory.
const std::string& without_stand_ins(const std::string& directory);

}  // namespace actsweep
