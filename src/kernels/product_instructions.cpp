#include "kernels/product_instructions.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <string_view>

#include "base/instruction_sets.h"

namespace actsweep {
namespace {

// oneDNN's names, from the least to the most; every later one has both kinds of instructions.
constexpr std::array<std::string_view, 8> kLimits = {
    "sse41",           "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni",
    "avx512_core_bf16"};

#ifdef ACTSWEEP_X86
std::string limit_of_environment() {
  for (const auto* name : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "";
}

// A CPU with AMX for either has these too.
ProductInstructions of_this_machine() {
  return within_limit(
      {__builtin_cpu_supports("avx512bf16") != 0, __builtin_cpu_supports("avx512fp16") != 0},
      limit_of_environment());
}
#else
// Of other CPUs nothing is known: their products stay ATen's.
ProductInstructions of_this_machine() { return {true, true}; }
#endif

}  // namespace

ProductInstructions within_limit(ProductInstructions machine, std::string limit) {
  std::ranges::transform(limit, limit.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto* const found = std::ranges::find(kLimits, limit);
  if (found == kLimits.end()) return machine;
  return {machine.bfloat16 && *found == "avx512_core_bf16", false};
}

bool widens_products(at::ScalarType dtype, at::Device device) {
  if (!device.is_cpu()) return false;
  static const auto has = of_this_machine();
  return (dtype == at::kBFloat16 && !has.bfloat16) || (dtype == at::kHalf && !has.float16);
}

}  // namespace actsweep
