// Linked into a program, stands in for copy_stream_host.cpp: a device that fails for good, as a GPU
// does after an error of its memory. ACTSWEEP_FAKE_DEVICE_FAIL=N: from the N-th wait for a copy on,
// and in its destructor too, it throws LibTorch's error of a device.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdlib>

#include "comm/copy_stream.h"

namespace actsweep {
namespace {

int waits_left() {
  const char* number = std::getenv("ACTSWEEP_FAKE_DEVICE_FAIL");
  return number == nullptr ? -1 : std::atoi(number);
}

}  // namespace

struct CopyStream::Implementation {
  int left = waits_left();  // negative: it never fails

  void wait() {
    if (left > 0) --left;
    check();
  }
  void check() const {
    TORCH_CHECK(left != 0, "CUDA error: an illegal memory access was encountered (fake device)");
  }
};

CUstream_st* current_stream(const at::Tensor&) { return nullptr; }

CopyStream::CopyStream(at::Device) : implementation_(std::make_unique<Implementation>()) {}

CopyStream::~CopyStream() { implementation_->check(); }

at::Tensor CopyStream::pinned_buffer(int64_t bytes) const { return at::empty({bytes}, at::kByte); }

void CopyStream::wait_for_current() {}

void CopyStream::copy(const at::Tensor& host, at::Tensor& device) {
  device.copy_(host.view_as(device));
}

void CopyStream::finish_on_current() { implementation_->wait(); }

void CopyStream::finish_on_host() { implementation_->wait(); }

}  // namespace actsweep
