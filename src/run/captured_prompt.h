// What the pass of one captured prompt writes into its part: the ids, the sites' rows, the experts
// chosen and attention whole, as far as the job asks for them.
//
// Member 0 of the model group owns the prompt and writes it.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "comm/group.h"
#include "run/captured_attention.h"
#include "run/inputs.h"
#include "run/segment_output.h"
#include "run/stream.h"

namespace actsweep {

class CapturedPrompt {
 public:
  /// `output`: null on ranks that do not write. All must outlive it.
  CapturedPrompt(const SweepInputs& inputs, const Group& group, const std::string& name,
                 SegmentOutput* output);

  /// Writes what does not depend on the pass.
  void write_what_is_known();
  /// What the pass calls of the original.
  Stream::Listeners listeners();

 private:
  void write_site(const Tap& tap);
  void write_experts(int64_t layer, const at::Tensor& chosen);
  void write_attention(int64_t layer, const CapturedAttention& whole);

  const SweepInputs& inputs_;
  const Group& group_;
  const Prompt& prompt_;
  std::string folder_;  // in the file
  int64_t tokens_;
  SegmentOutput* output_;
};

}  // namespace actsweep
