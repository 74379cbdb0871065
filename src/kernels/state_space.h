// The state space of Mamba-2 (arXiv 2405.21060) over the sequences of a micro-batch, each from a
// state of zeros.
//
// A head's state S [Ds, D] becomes exp(-r s) S + s b x with the rate r of the head, the step s of a
// position, what writes, b, and the channels x of the head; read, it gives c S + skip x.
#pragma once

#include <ATen/core/Tensor.h>

namespace actsweep {

/// All float32: whole sequences of T positions; a multiple of G heads.
struct StateSpaceRows {
  at::Tensor input;  // [B, T, H, D] of any strides; so are the next two
  at::Tensor write;  // [B, T, G, Ds]
  at::Tensor read;   // [B, T, G, Ds]
  at::Tensor step;   // [B, T, H], at least 0
  at::Tensor rate;   // [H], above 0
  at::Tensor skip;   // [H]
};

/// -> [B, T, H, D] float32. Sums are float32.
at::Tensor state_space(const StateSpaceRows& rows);

}  // namespace actsweep
