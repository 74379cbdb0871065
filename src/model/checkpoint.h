// A Hugging Face checkpoint directory: config, family, tensors, and the proof that they fit each
// other.
//
// In: a directory with config.json and model.safetensors or model.safetensors.index.json. Out: the
// architecture and each tensor row's tensor, mapped. Refuses (kModel) missing and unused tensors,
// wrong shapes, a dtype mix, shards that the index does not describe, and a config that contradicts
// the weights.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/family.h"
#include "model/safetensors.h"

namespace actsweep {

class Checkpoint {
 public:
  explicit Checkpoint(const std::string& directory);

  const std::string& directory() const { return directory_; }
  const Architecture& architecture() const { return architecture_; }
  const std::vector<TensorRow>& rows() const { return rows_; }
  /// The tensor of a row in a layer (0-based; ignored for rows that exist once).
  const StoredTensor& tensor(const TensorRow& row, int64_t layer) const;
  /// SHA-256 over config.json without paths and versions and, in tensor-name order, name, dtype,
  /// shape and the first and last 64 KiB of each tensor: independent of sharding.
  std::string fingerprint() const;
  /// The name for people: the directory's own.
  std::string name() const;

 private:
  std::string stored_name(const TensorRow& row, int64_t layer) const;
  bool is_ignored(const std::string& name) const;
  void check_rows() const;
  void check_unused() const;

  std::string directory_;
  Config config_;
  const Family* family_;
  Architecture architecture_;
  std::vector<TensorRow> rows_;
  std::map<std::string, StoredTensor> tensors_;
  bool lacks_prefix_ = false;
};

}  // namespace actsweep
