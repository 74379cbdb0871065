// The build without CUDA: every copy is done when copy() returns, so there is nothing to wait for.
#include <ATen/ATen.h>

#include "base/error.h"
#include "comm/copy_stream.h"

namespace actsweep {

struct CopyStream::Implementation {};

CUstream_st* current_stream(const at::Tensor&) { return nullptr; }

CopyStream::CopyStream(at::Device device) {
  require(device.is_cpu(), ErrorKind::kDevice,
          "no copy stream for device {}: this build of actsweep has no CUDA", device.str());
}

CopyStream::~CopyStream() = default;

at::Tensor CopyStream::pinned_buffer(int64_t bytes) const { return at::empty({bytes}, at::kByte); }

void CopyStream::wait_for_current() {}

void CopyStream::copy(const at::Tensor& host, at::Tensor& device) {
  ensure(host.scalar_type() == device.scalar_type() && host.numel() == device.numel() &&
             host.is_contiguous() && device.is_contiguous(),
         "a copy joins contiguous tensors of one type and size");
  device.copy_(host.view_as(device));
}

void CopyStream::finish_on_current() {}

void CopyStream::finish_on_host() {}

}  // namespace actsweep
