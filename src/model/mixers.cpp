#include "model/mixers.h"

#include "model/attention_heads.h"
#include "model/delta_heads.h"

namespace actsweep {

Mixers::Mixers(const Architecture& architecture, const ModelShare& share, const Group& group,
               int64_t positions, at::Device device)
    : a_(architecture) {
  const auto has = [&](MixerKind kind) {
    bool is_there = false;
    for (int64_t layer = 0; layer < a_.layers; ++layer) is_there |= a_.mixer(layer) == kind;
    return is_there;
  };
  const auto place = [&](MixerKind kind) -> auto& { return by_kind_[static_cast<int>(kind)]; };
  if (has(MixerKind::kAttention)) {
    place(MixerKind::kAttention) =
        std::make_unique<AttentionHeads>(architecture, share, group, positions, device);
  }
  if (has(MixerKind::kDelta)) {
    place(MixerKind::kDelta) = std::make_unique<DeltaHeads>(architecture, share, device);
  }
}

Mixer& Mixers::of(int64_t layer) const { return *by_kind_[static_cast<int>(a_.mixer(layer))]; }

}  // namespace actsweep
