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

/// Attention with the facts and the share that it has there.
struct Mixers::OtherAttention {
  Architecture architecture;
  ModelShare share;
  AttentionHeads heads;

  OtherAttention(const Architecture& a, const Group& group, const MixerOptions& options)
      : architecture(a.with_other_heads()),
        share(share_of(architecture, group.size(), group.rank())),
        heads(architecture, share, group, options) {}
};

Mixers::~Mixers() = default;

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
  if (a_.has_other_heads()) other_ = std::make_unique<OtherAttention>(a_, group, options);
}

Mixer& Mixers::of(int64_t layer) const {
  if (a_.has_other_heads(layer)) return other_->heads;
  return *by_kind_[static_cast<int>(a_.mixer(layer))];
}

}  // namespace actsweep
