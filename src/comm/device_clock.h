// Moments on a device's own clock: when a call returns, a GPU has not done what it enqueued.
//
// In: a device. Out: moments, marked in the order of its current stream, and the seconds between
// two of them. On a CPU a moment is when it is marked. Marking waits for nothing.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace actsweep {

class Moment {
 public:
  virtual ~Moment() = default;
  /// Whether the device has come to it.
  virtual bool has_passed() const = 0;
  /// Returns once it has.
  virtual void wait() const = 0;
  /// Seconds from an earlier moment of the same clock; both have passed.
  virtual double since(const Moment& earlier) const = 0;
};

/// Marks the moment at which the device has done what is enqueued so far.
using DeviceClock = std::function<std::shared_ptr<const Moment>()>;

/// Refuses (ErrorKind::kDevice) a GPU where the build has no CUDA.
DeviceClock clock_of(at::Device device);

/// Of the host, which has done what it has called.
DeviceClock host_clock();

}  // namespace actsweep
