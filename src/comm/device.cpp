#include "comm/device.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include <sstream>
#include <vector>

#include "base/error.h"
#include "comm/gpu_choice.h"
#include "comm/launch.h"
#include "comm/messages.h"
#include "comm/session.h"
#ifdef ACTSWEEP_WITH_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

namespace actsweep {

int count_gpus() { return at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0; }

namespace {

/// The names of the GPUs that this process sees, one line each.
std::string seen_gpus() {
  std::string names;
#ifdef ACTSWEEP_WITH_CUDA
  const auto visible = variable_of_process("CUDA_VISIBLE_DEVICES");
  const int count = count_gpus();
  for (int i = 0; i < count; ++i) {
    // A part of a GPU (MIG), of which a process sees one, may have the name of the whole.
    const bool is_part = count == 1 && visible.starts_with("MIG-");
    const auto& uuid = at::cuda::getDeviceProperties(i)->uuid.bytes;
    std::string name = "GPU-";
    for (const char byte : uuid) name += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    names += (is_part ? visible : name) + "\n";
  }
#endif
  return names;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

at::Device choose_device(int number) {
  if (count_gpus() == 0) return at::Device(at::kCPU);
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(number));
  // What names no device, page-locked memory for one, would else open a context on the first GPU.
  at::accelerator::setDeviceIndex(device.index());
  // Partial sums of half types stay float32, as on the CPU.
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
  return device;
}

at::Device share_devices(MPI_Comm communicator) {
  const Communicator node(split_by_node(communicator));
  SeenGpus seen;
  for (const auto& names : gather_texts(seen_gpus(), node.get())) seen.push_back(lines_of(names));
  const auto chosen = choose_gpus(seen, node_name());
  return chosen.empty() ? at::Device(at::kCPU) : choose_device(chosen.at(rank_in(node.get())));
}

std::string describe_device([[maybe_unused]] at::Device device) {
#ifdef ACTSWEEP_WITH_CUDA
  if (device.is_cuda()) {
    return fmt::format("CUDA, {}", at::cuda::getDeviceProperties(device.index())->name);
  }
#endif
  return fmt::format("CPU, {}", cpu_instructions());
}

std::string cpu_instructions() { return at::get_cpu_capability(); }

}  // namespace actsweep
