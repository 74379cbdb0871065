#include "model/mixers.h"

#include "model/attention_heads.h"
#include "model/delta_heads.h"
#include "model/latent_heads.h"

namespace actsweep {
namespace {

std::unique_ptr<Mixer> make_attention(const Architecture& a, const ModelShare& share,
                                      const Group& group, const MixerOptions& options) {
  if (a.latent.key_value > 0) {
    return std::make_unique<LatentHeads>(a, share, options.positions, options.device);
  }
  return std::make_unique<AttentionHeads>(a, share, group, options);
}

}  // namespace

Mixers::Mixers(const Architecture& architecture, const ModelShare& share, const Group& group,
               const MixerOptions& options)
    : a_(architecture) {
  const auto has = [&](MixerKind kind) {
    bool is_there = false;
    for (int64_t layer = 0; layer < a_.layers; ++layer) is_there |= a_.mixer(layer) == kind;
    return is_there;
  };
  const auto place = [&](MixerKind kind) -> auto& { return by_kind_[static_cast<int>(kind)]; };
  if (has(MixerKind::kAttention)) {
    place(MixerKind::kAttention) = make_attention(architecture, share, group, options);
  }
  if (has(MixerKind::kDelta)) {
    place(MixerKind::kDelta) = std::make_unique<DeltaHeads>(architecture, share, options.device);
  }
}

Mixer& Mixers::of(int64_t layer) const { return *by_kind_[static_cast<int>(a_.mixer(layer))]; }

}  // namespace actsweep
