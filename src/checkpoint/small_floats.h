// Floating-point numbers of 4 to 32 bits, as float32.
//
// In: the bits of a code, or a stored tensor of scales. Out: what they stand for. Refuses nothing:
// which types may stand where is its callers' question.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/safetensors.h"

namespace actsweep {

/// The numbers of all codes of a type, by code. NaN where the type has it.
std::vector<float> float8_e4m3_numbers();  // no infinities; S.1111.111 is NaN
std::vector<float> float8_e5m2_numbers();  // as IEEE has them
std::vector<float> float8_e8m0_numbers();  // 2 ^ (code - 127)
std::vector<float> float4_e2m1_numbers();  // 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives
/// Codes of `bits` bits that are whole numbers, less `offset`.
std::vector<float> whole_numbers(int bits, int offset);
/// Codes of 8 bits in two's complement.
std::vector<float> int8_numbers();

/// Element `index` of a stored tensor of F32, F16, BF16, F8_E4M3, F8_E8M0, or U8, which is F8_E8M0
/// too.
float stored_number(const StoredTensor& tensor, int64_t index);

}  // namespace actsweep
