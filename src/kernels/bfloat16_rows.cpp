#include "kernels/bfloat16_rows.h"

#include <ATen/ATen.h>

#include "kernels/cpu_rows.h"

namespace actsweep {
namespace {

ACTSWEEP_CLONES
void narrow_all(const float* __restrict from, int64_t count, at::BFloat16* __restrict to) {
  for (int64_t i = 0; i < count; ++i) cpu::narrow(from[i], to[i]);
}

}  // namespace

at::Tensor to_bfloat16(const at::Tensor& rows) {
  ensure(rows.is_cpu() && rows.is_contiguous(), "contiguous rows on the host are rounded");
  auto rounded = at::empty(rows.sizes(), rows.options().dtype(at::kBFloat16));
  narrow_all(rows.const_data_ptr<float>(), rows.numel(), rounded.mutable_data_ptr<at::BFloat16>());
  return rounded;
}

}  // namespace actsweep
