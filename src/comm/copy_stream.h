// Uploads that run beside the computation: a second CUDA stream on which pinned host buffers are
// copied to the device.
//
// In: a host buffer of this class and a device tensor of the same bytes. Out: the tensor, filled
// once the current stream has passed finish_on_current(). On the CPU a copy is done when copy()
// returns and the waits do nothing. Refuses (std::logic_error) tensors that differ in type or
// number of elements, and tensors with gaps. One caller at a time. Order per buffer:
// wait_for_current(), copy(), finish_on_current(), compute.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

struct CUstream_st;

namespace actsweep {

/// The CUDA stream on which ATen enqueues for the device of `tensor`; null for a host tensor.
CUstream_st* current_stream(const at::Tensor& tensor);

class CopyStream {
 public:
  explicit CopyStream(at::Device device);
  ~CopyStream();
  CopyStream(const CopyStream&) = delete;
  CopyStream& operator=(const CopyStream&) = delete;

  /// [bytes] uint8 on the host, 64-byte aligned; page-locked where the device is a GPU.
  at::Tensor pinned_buffer(int64_t bytes) const;
  /// Copies that follow start only when the device has done what the current stream holds now: to
  /// be called when the last computation that reads (or has left) the memory about to be
  /// overwritten is enqueued.
  void wait_for_current();
  /// Enqueues `device` = `host`. The host buffer must not be written before finish_on_host().
  void copy(const at::Tensor& host, at::Tensor& device);
  /// What is enqueued on the current stream from now on sees the copies so far; the host does not
  /// wait.
  void finish_on_current();
  /// Blocks the host until the copies so far are done, so that their host buffers can be filled
  /// again.
  void finish_on_host();

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace actsweep
