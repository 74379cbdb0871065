// What the families with Mamba's selective state space share: its sizes and biases.
//
// In: a config.json whose missing keys have their defaults. Out: parts of an Architecture. Refuses
// (ErrorKind::kModel) as Config does.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"

namespace actsweep {

/// The keys of the sizes and of the biases.
struct SelectiveKeys {
  std::string state_width = "mamba_d_state";
  std::string step_rank = "mamba_dt_rank";  // "auto": a sixteenth of the channels, rounded up
  std::string taps = "mamba_d_conv";
  std::string expansion = "mamba_expand";
  std::string convolution_bias = "mamba_conv_bias";
  std::string bias = "mamba_proj_bias";
};

void read_selective(const Config& config, Architecture& facts, const SelectiveKeys& keys = {});

}  // namespace actsweep
