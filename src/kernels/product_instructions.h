// Whether a CPU has instructions for products of two-byte floats. Without them, oneDNN and ATen
// take such products at an eighth to four fifths of float32's rate.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace actsweep {

/// The dtypes of whose products a machine has instructions.
struct ProductInstructions {
  bool bfloat16 = false;
  bool float16 = false;
};

/// What oneDNN, which takes these products, uses of a machine where its environment names `limit`
/// (ONEDNN_MAX_CPU_ISA) in upper or lower case; what it does not know limits nothing.
ProductInstructions within_limit(ProductInstructions machine, std::string limit);

/// True where products of `dtype` are taken in float32, of widened elements: on an x86 CPU without
/// instructions for them. Decided once in a process.
bool widens_products(at::ScalarType dtype, at::Device device);

}  // namespace actsweep
