// The build with CUDA. A CPU device is served too: the program also runs where no GPU is.
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>

#include "base/error.h"
#include "comm/copy_stream.h"

namespace actsweep {

struct CopyStream::Implementation {
  std::optional<c10::cuda::CUDAStream> stream;  // empty on the CPU
};

CUstream_st* current_stream(const at::Tensor& tensor) {
  if (!tensor.is_cuda()) return nullptr;
  return c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream();
}

CopyStream::CopyStream(at::Device device) : implementation_(std::make_unique<Implementation>()) {
  if (device.is_cpu()) return;
  require(device.is_cuda(), ErrorKind::kDevice,
          "no copy stream for device {}: expected cpu or cuda", device.str());
  implementation_->stream = c10::cuda::getStreamFromPool(false, device.index());
}

CopyStream::~CopyStream() = default;

at::Tensor CopyStream::pinned_buffer(int64_t bytes) const {
  return at::empty({bytes},
                   at::TensorOptions(at::kByte).pinned_memory(implementation_->stream.has_value()));
}

void CopyStream::wait_for_current() {
  if (!implementation_->stream) return;
  at::cuda::CUDAEvent reached;
  reached.record(c10::cuda::getCurrentCUDAStream(implementation_->stream->device_index()));
  reached.block(*implementation_->stream);
}

void CopyStream::copy(const at::Tensor& host, at::Tensor& device) {
  ensure(host.scalar_type() == device.scalar_type() && host.numel() == device.numel() &&
             host.is_contiguous() && device.is_contiguous(),
         "a copy joins contiguous tensors of one type and size");
  if (!implementation_->stream) {
    device.copy_(host.view_as(device));
    return;
  }
  const c10::cuda::CUDAStreamGuard on_copy_stream(*implementation_->stream);
  device.copy_(host.view_as(device), /*non_blocking=*/true);
  // Should the tensor be dropped before finish_on_current(), its memory is not given away under the
  // copy.
  device.record_stream(implementation_->stream->unwrap());
}

void CopyStream::finish_on_current() {
  if (!implementation_->stream) return;
  at::cuda::CUDAEvent copied;
  copied.record(*implementation_->stream);
  copied.block(c10::cuda::getCurrentCUDAStream(implementation_->stream->device_index()));
}

void CopyStream::finish_on_host() {
  if (implementation_->stream) implementation_->stream->synchronize();
}

}  // namespace actsweep
