// The gated delta rule (arXiv 2412.06464) over the sequences of a micro-batch, each from a state of
// zeros, chunk by chunk as in arXiv 2406.06484.
//
// A head's state S [Dk, Dv] becomes a S + k (b (v - a k S)) with the decay a and the strength b of
// a position; it is read by the query: q S. Key heads are shared by value heads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace actsweep {

/// All float32: whole sequences of T positions; G value heads share each of the H key heads.
struct DeltaRows {
  at::Tensor query;     // [B, H, T, Dk], scaled
  at::Tensor key;       // [B, H, T, Dk]
  at::Tensor value;     // [B, T, H * G, Dv]
  at::Tensor strength;  // [B, T, H * G]
  at::Tensor decay;     // [B, T, H * G] logarithms, at most 0
};

/// -> [B, T, H * G, Dv] float32. Sums are float32.
at::Tensor gated_delta_rule(const DeltaRows& rows);

/// x / sqrt(sum(x^2) + 1e-6) of each head: rows [B * T, H * D] of any strides -> [B, H, T, D].
at::Tensor unit_heads(const at::Tensor& rows, int64_t positions, int64_t width);

}  // namespace actsweep
