// The selective scan of Mamba (arXiv 2312.00752) over the sequences of a micro-batch, each from
// states of zeros.
//
// A channel's state h [Ds] becomes exp(-r s) h + s x b with its rates r [Ds], its step s and the
// channel x at a position, and what writes, b [Ds]; read, it gives c h + skip x.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace actsweep {

/// All float32 and contiguous: whole sequences of `positions` rows.
struct SelectiveRows {
  at::Tensor input;  // [n, W]
  at::Tensor step;   // [n, W], at least 0
  at::Tensor write;  // [n, Ds]
  at::Tensor read;   // [n, Ds]
  at::Tensor rate;   // [W, Ds], above 0
  at::Tensor skip;   // [W]
  int64_t positions = 0;
};

/// -> [n, W] float32: by a kernel on CPUs.
at::Tensor selective_scan(const SelectiveRows& rows);

/// The same by ATen's operators, for any device.
at::Tensor selective_scan_aten(const SelectiveRows& rows);

}  // namespace actsweep
