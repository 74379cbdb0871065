#include "weights/stage_list.h"

#include <algorithm>
#include <functional>

namespace actsweep {
namespace {

using StageBytes = std::function<int64_t(const Stage&)>;

/// Adds a layer's stage without experts, and those of the experts that the rank holds.
void add_layer_with_experts(const StageBytes& bytes_of, int64_t layer, Share held,
                            std::vector<Stage>& stages) {
  stages.push_back({.layer = layer, .is_last = false});
  int64_t runs = 1;  // a rank without experts ends the layer all the same
  if (held.size() > 0) {
    const int64_t expert = bytes_of({layer, {held.begin, held.begin + 1}, false, false});
    const int64_t at_once = std::max<int64_t>(1, bytes_of(stages.back()) / expert);
    runs = (held.size() + at_once - 1) / at_once;
  }
  for (int64_t run = 0; run < runs; ++run) {
    const auto part = cut_evenly(held.size(), runs, run);
    stages.push_back({layer,
                      {held.begin + part.begin, held.begin + part.end},
                      /*is_first=*/false,
                      /*is_last=*/run + 1 == runs});
  }
}

}  // namespace

std::vector<Stage> list_stages(const std::vector<TensorRow>& rows, const Architecture& architecture,
                               const ModelShare& share, Dtype dtype, bool with_head) {
  const auto bytes_of = [&](const Stage& stage) {
    return StageLayout(rows, architecture, share, dtype, stage).bytes();
  };
  std::vector<Stage> stages;
  for (int64_t layer = 0; layer < architecture.layers; ++layer) {
    if (architecture.has_experts(layer)) {
      add_layer_with_experts(bytes_of, layer, share.experts, stages);
    } else {
      stages.push_back({layer});
    }
  }
  if (with_head) stages.push_back({architecture.layers});
  return stages;
}

}  // namespace actsweep
