#include "kernels/short_convolution.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace actsweep {

at::Tensor convolve_causally(const at::Tensor& rows, const at::Tensor& taps, const at::Tensor& bias,
                             int64_t positions) {
  const auto in = rows.to(at::kFloat).view({-1, positions, rows.size(1)});
  const int64_t count = taps.size(2);
  auto out = in * taps.select(2, count - 1).view({-1});
  for (int64_t back = 1; back < std::min(count, positions); ++back) {
    const int64_t reached = positions - back;
    out.narrow(1, back, reached)
        .addcmul_(in.narrow(1, 0, reached), taps.select(2, count - 1 - back).view({-1}));
  }
  if (bias.defined()) out.add_(bias);
  return out.view({-1, rows.size(1)});
}

}  // namespace actsweep
