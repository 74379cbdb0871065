// Keys and values that layers give to later ones, for the whole of a block.
//
// Each rank keeps those of its own heads, for the rows of all ranks: the last layer of a kind that
// makes its own has them used by every later layer of that kind (Gemma 4).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

#include "checkpoint/architecture.h"
#include "weights/share.h"

namespace actsweep {

class KeptKeys {
 public:
  /// Room for so many gathered rows; none where each layer has keys of its own.
  KeptKeys(const Architecture& architecture, const ModelShare& share, int64_t gathered_rows,
           const at::TensorOptions& options);

  /// The layer (0-based) whose keys and values a layer gives to others or takes; -1: neither.
  int64_t giver_of(int64_t layer) const;
  /// [count, 2 Hkv D] rotated keys, then values, of `count` rows after `first` of others. The layer
  /// gives or takes.
  at::Tensor of(int64_t layer, int64_t first, int64_t count) const;

 private:
  std::vector<int64_t> giver_;  // [L]
  std::map<int64_t, at::Tensor> by_giver_;  // [gathered rows, 2 Hkv D] dtype
};

int64_t kept_key_bytes(const Architecture& architecture, const ModelShare& share,
                       int64_t gathered_rows, at::ScalarType dtype);

}  // namespace actsweep
