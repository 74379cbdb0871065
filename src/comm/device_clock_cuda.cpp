// The build with CUDA: a moment is an event on the current stream. A CPU device is served too.
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAStream.h>

#include "base/error.h"
#include "comm/device_clock.h"

namespace actsweep {
namespace {

class EventMoment : public Moment {
 public:
  explicit EventMoment(c10::DeviceIndex device) {
    event_.record(c10::cuda::getCurrentCUDAStream(device));
  }
  bool has_passed() const override { return event_.query(); }
  void wait() const override { event_.synchronize(); }
  double since(const Moment& earlier) const override {
    constexpr double kMilliseconds = 1e-3;
    return kMilliseconds * static_cast<const EventMoment&>(earlier).event_.elapsed_time(event_);
  }

 private:
  at::cuda::CUDAEvent event_{cudaEventDefault};  // which keeps the time
};

}  // namespace

DeviceClock clock_of(at::Device device) {
  if (device.is_cpu()) return host_clock();
  require(device.is_cuda(), ErrorKind::kDevice, "no clock for device {}: expected cpu or cuda",
          device.str());
  return [index = device.index()] { return std::make_shared<const EventMoment>(index); };
}

}  // namespace actsweep
