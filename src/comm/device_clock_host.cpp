// The build without CUDA.
#include "base/error.h"
#include "comm/device_clock.h"

namespace actsweep {

DeviceClock clock_of(at::Device device) {
  require(device.is_cpu(), ErrorKind::kDevice,
          "no clock for device {}: this build of actsweep has no CUDA", device.str());
  return host_clock();
}

}  // namespace actsweep
