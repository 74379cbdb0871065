#include "model/mixers.h"

#include <algorithm>

#include "model/attention_heads.h"
#include "model/convolved_channels.h"
#include "model/delta_heads.h"
#include "model/latent_heads.h"
#include "model/selective_channels.h"
#include "model/state_heads.h"

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
    bool is_there = kind == MixerKind::kStates && !a_.states_beside.empty();
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
  if (has(MixerKind::kConvolution)) {
    place(MixerKind::kConvolution) = std::make_unique<ConvolvedChannels>(share);
  }
  if (has(MixerKind::kSelective)) {
    place(MixerKind::kSelective) =
        std::make_unique<SelectiveChannels>(architecture, share, group, options.device);
  }
  if (has(MixerKind::kStates)) {
    place(MixerKind::kStates) =
        std::make_unique<StateHeads>(architecture, share, group, options.device);
  }
  if (a_.has_other_heads()) other_ = std::make_unique<OtherAttention>(a_, group, options);
}

Mixer& Mixers::of(int64_t layer) const {
  if (a_.has_other_heads(layer)) return other_->heads;
  return *by_kind_[static_cast<int>(a_.mixer(layer))];
}

Mixer* Mixers::beside(int64_t layer) const {
  if (!a_.has_states_beside(layer)) return nullptr;
  return by_kind_[static_cast<int>(MixerKind::kStates)].get();
}

MixerWidths mixer_widths(const Architecture& a, const ModelShare& share) {
  const int64_t other = a.other_heads.head_width;
  const int64_t queries = share.query_heads.size() * std::max(a.widest_head(), other);
  const int64_t keys =
      std::max(share.key_heads.size() * a.widest_head(), share.other_key_heads.size() * other);
  const int64_t delta = share.delta_heads.size(), convolved = share.convolved.size();
  const int64_t states = share.state_heads.size() * a.states.head_width;
  return {std::max({queries + 2 * keys, delta_projection_width(a.delta, delta), 3 * convolved,
                    2 * share.selective.size(), state_projection_width(a.states, share)}),
          std::max({a.states_beside.empty() ? queries : queries + states, states, convolved,
                    delta > 0 ? delta * a.delta.value_channels() : 0, share.selective.size()})};
}

int64_t mixer_bytes(const Architecture& a, const ModelShare& share, int64_t rows,
                    int64_t positions) {
  const int64_t convolved = share.convolved.size();
  // In float32 what is convolved, before and behind; a product with one of the dtype.
  return std::max({delta_bytes(a, share, rows, positions), 4 * rows * 3 * convolved,
                   state_bytes(a, share, rows, positions), selective_bytes(a, share, rows)});
}

}  // namespace actsweep
