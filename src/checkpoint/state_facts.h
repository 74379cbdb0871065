// What the families with Mamba-2's state space share: its sizes, biases and time steps.
//
// In: a config.json whose missing keys have their defaults. Out: parts of an Architecture. Refuses
// (ErrorKind::kModel) as Config does, and heads that do not fill their groups.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"

namespace actsweep {

/// The keys of the sizes and of the biases.
struct StateKeys {
  std::string heads = "mamba_n_heads";
  std::string head_width = "mamba_d_head";  // "auto": `mamba_expand` times the channels by heads
  std::string groups = "mamba_n_groups";
  std::string state_width = "mamba_d_state";
  std::string taps = "mamba_d_conv";
  std::string convolution_bias = "mamba_conv_bias";
  std::string bias = "mamba_proj_bias";
};

/// All but time steps.
void read_states(const Config& config, Architecture& facts, const StateKeys& keys = {});

/// No limit, as the default of `time_step_limit`.
nlohmann::json any_time_step();

/// `time_step_limit`: the least and the largest time step.
void read_step_limit(const Config& config, Architecture& facts);

/// All of a state space whose activation is the MLP's. Refuses heads whose channels are not
/// `mamba_expand` times the model's, as the classes of such families do.
void read_expanded_states(const Config& config, Architecture& facts);

}  // namespace actsweep
