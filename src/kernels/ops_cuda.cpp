// The element-wise steps on CUDA tensors, by the kernels of ops_kernels.cu on the current stream.
#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "base/error.h"
#include "kernels/ops.h"
#include "kernels/ops_kernels.h"
#include "kernels/weighted_rows_kernels.h"

namespace actsweep::cuda {
namespace {

cudaStream_t stream_of(const at::Tensor& tensor) {
  return c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream();
}

Element element_of(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  ensure(type == at::kFloat || type == at::kHalf || type == at::kBFloat16,
         "kernels take float32, float16 or bfloat16");
  if (type == at::kFloat) return Element::kFloat;
  return type == at::kHalf ? Element::kHalf : Element::kBfloat16;
}

/// The rows of a matrix [n, C] from channel `first` on.
Rows rows_of(const at::Tensor& matrix, int64_t first = 0) {
  ensure(matrix.dim() == 2 && matrix.stride(1) == 1, "kernels take rows without gaps");
  auto* begin = static_cast<std::byte*>(matrix.data_ptr());
  return {begin + first * matrix.element_size(), matrix.stride(0), element_of(matrix)};
}

NormCall call_of(const at::Tensor& rows, const Norm& norm) {
  NormCall call;
  call.tokens = rows.size(0);
  call.width = rows.size(1);
  call.weight = norm.weight.const_data_ptr<float>();
  call.bias = norm.bias.defined() ? norm.bias.const_data_ptr<float>() : nullptr;
  call.subtracts_mean = norm.kind == NormKind::kLayer;
  call.epsilon = static_cast<float>(norm.epsilon);
  call.offset = static_cast<float>(norm.offset);
  return call;
}

void run_norm(const NormCall& call, const Rows& in, const Rows* addend, const Rows& out,
              const at::Tensor& on) {
  norm_rows(call, in, addend, out, stream_of(on));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void normalise(const at::Tensor& residual, const Norm& norm, at::Tensor& out) {
  run_norm(call_of(residual, norm), rows_of(residual), nullptr, rows_of(out), out);
}

void add_and_normalise(at::Tensor& residual, const at::Tensor& partial, const Norm& norm,
                       at::Tensor& out) {
  const auto addend = rows_of(partial);
  run_norm(call_of(residual, norm), rows_of(residual), &addend, rows_of(out), out);
}

void add_rows(at::Tensor& residual, const at::Tensor& partial) { residual.add_(partial); }

void add_normalised(at::Tensor& residual, const at::Tensor& partial, const Norm& norm) {
  auto call = call_of(partial, norm);
  call.is_sum = true;
  run_norm(call, rows_of(partial), nullptr, rows_of(residual), residual);
}

void normalise_heads(at::Tensor& qkv, const HeadRange& heads, const Norm& norm) {
  auto call = call_of(qkv, norm);
  call.groups = heads.count;
  call.width = heads.width;
  call.has_own_weights = norm.weight.numel() > heads.width;
  const auto rows = rows_of(qkv, heads.first * heads.width);
  run_norm(call, rows, nullptr, rows, qkv);
}

void rotate(at::Tensor& qkv, const RotaryHeads& heads, const RotaryTable& table) {
  const RotateCall call = {qkv.size(0),
                           heads.positions,
                           heads.heads,
                           heads.width,
                           table.cos.size(1),
                           table.is_interleaved,
                           table.cos.const_data_ptr<float>(),
                           table.sin.const_data_ptr<float>()};
  rotate_rows(call, rows_of(qkv), stream_of(qkv));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void gate(const at::Tensor& gate_up, Activation activation, at::Tensor& hidden) {
  const ActivateCall call = {hidden.size(0), hidden.size(1), activation, true};
  activate_rows(call, rows_of(gate_up), rows_of(hidden), stream_of(hidden));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void activate(at::Tensor& hidden, Activation activation) {
  const ActivateCall call = {hidden.size(0), hidden.size(1), activation, false};
  activate_rows(call, rows_of(hidden), rows_of(hidden), stream_of(hidden));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void add_weighted(at::Tensor& sum, const WeightedRows& rows) {
  ensure(sum.is_contiguous() && rows.values.is_contiguous() && rows.places_of.is_contiguous(),
         "kernels take rows without gaps");
  const WeightedCall call = {sum.size(0),
                             sum.size(1),
                             rows.places_of.size(1),
                             rows.first,
                             rows.values.size(0),
                             rows.weight.const_data_ptr<float>(),
                             rows.places_of.const_data_ptr<int64_t>()};
  add_weighted_rows(call, rows_of(rows.values), sum.mutable_data_ptr<float>(), stream_of(sum));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace
}  // namespace actsweep::cuda

namespace actsweep {

constinit const RowOps kCudaRowOps = {
    .normalise = cuda::normalise,
    .add_and_normalise = cuda::add_and_normalise,
    .add_rows = cuda::add_rows,
    .add_normalised = cuda::add_normalised,
    .normalise_heads = cuda::normalise_heads,
    .rotate = cuda::rotate,
    .gate = cuda::gate,
    .activate = cuda::activate,
    .add_weighted = cuda::add_weighted,
};

}  // namespace actsweep
