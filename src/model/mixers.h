// The mixers of a model's layers: one of each kind that its layers have, and of attention one for
// each size of heads.
#pragma once

#include <array>
#include <memory>

#include "checkpoint/architecture.h"
#include "comm/group.h"
#include "model/mixer.h"
#include "weights/share.h"

namespace actsweep {

class Mixers {
 public:
  /// All but the options must outlive it; `group` is the model group.
  Mixers(const Architecture& architecture, const ModelShare& share, const Group& group,
         const MixerOptions& options);

  ~Mixers();

  Mixer& of(int64_t layer) const;
  /// What reads the same rows as the layer's attention; null where nothing does.
  Mixer* beside(int64_t layer) const;

 private:
  const Architecture& a_;
  std::array<std::unique_ptr<Mixer>, kMixerKinds> by_kind_;
  struct OtherAttention;
  std::unique_ptr<OtherAttention> other_;  // of layers with other heads
};

/// Elements of a row of the widest buffers that a rank's mixers have.
struct MixerWidths {
  int64_t wide = 0;
  int64_t out = 0;
};

MixerWidths mixer_widths(const Architecture& architecture, const ModelShare& share);

/// Bytes that mixers other than attention take beside the work space for `rows` gathered rows.
int64_t mixer_bytes(const Architecture& architecture, const ModelShare& share, int64_t rows,
                    int64_t positions);

}  // namespace actsweep
