#include "model/kept_keys.h"

#include <ATen/ATen.h>

#include <set>

namespace actsweep {
namespace {

/// Elements of a row of keys and values of a rank in a layer.
int64_t row_width(const Architecture& a, const ModelShare& share, int64_t layer) {
  if (!a.has_other_heads(layer)) return 2 * share.key_heads.size() * a.head_width;
  return 2 * share.other_key_heads.size() * a.other_heads.head_width;
}

std::set<int64_t> givers(const Architecture& a) {
  std::set<int64_t> givers;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    if (!a.has_own_keys(layer)) givers.insert(a.keys_of_layer[layer]);
  }
  return givers;
}

}  // namespace

KeptKeys::KeptKeys(const Architecture& architecture, const ModelShare& share,
                   int64_t gathered_rows, const at::TensorOptions& options)
    : giver_(architecture.layers, -1) {
  for (const auto giver : givers(architecture)) {
    for (int64_t layer = giver; layer < architecture.layers; ++layer) {
      if (architecture.keys_of_layer[layer] == giver) giver_[layer] = giver;
    }
    const int64_t width = row_width(architecture, share, giver);
    by_giver_[giver] = at::empty({gathered_rows, width}, options);
  }
}

int64_t KeptKeys::giver_of(int64_t layer) const { return giver_[layer]; }

at::Tensor KeptKeys::of(int64_t layer, int64_t first, int64_t count) const {
  return by_giver_.at(giver_of(layer)).narrow(0, first, count);
}

int64_t kept_key_bytes(const Architecture& a, const ModelShare& share, int64_t gathered_rows,
                       at::ScalarType dtype) {
  int64_t elements = 0;
  for (const auto layer : givers(a)) elements += gathered_rows * row_width(a, share, layer);
  return elements * static_cast<int64_t>(elementSize(dtype));
}

}  // namespace actsweep
