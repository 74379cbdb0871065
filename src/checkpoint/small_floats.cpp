#include "checkpoint/small_floats.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A sign, an exponent with a bias, a mantissa; the least exponent has no leading 1.
float number_of(unsigned code, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const auto mantissa = static_cast<int>(code & ((1u << mantissa_bits) - 1));
  const auto exponent = static_cast<int>(code >> mantissa_bits & ((1u << exponent_bits) - 1));
  const bool is_negative = code >> (exponent_bits + mantissa_bits) & 1;
  const int whole = exponent == 0 ? mantissa : mantissa + (1 << mantissa_bits);
  const float size =
      std::ldexp(static_cast<float>(whole), std::max(exponent, 1) - bias - mantissa_bits);
  return is_negative ? -size : size;
}

std::vector<float> all_numbers(int exponent_bits, int mantissa_bits) {
  std::vector<float> numbers(size_t{1} << (1 + exponent_bits + mantissa_bits));
  for (size_t code = 0; code < numbers.size(); ++code) {
    numbers[code] = number_of(static_cast<unsigned>(code), exponent_bits, mantissa_bits);
  }
  return numbers;
}

template <typename T>
T element(const StoredTensor& tensor, int64_t index) {
  T value;
  std::memcpy(&value, tensor.data() + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

float half_number(uint16_t bits) {
  constexpr unsigned kExponent = 0x7c00, kMantissa = 0x3ff;
  if ((bits & kExponent) != kExponent) return number_of(bits, 5, 10);
  if (bits & kMantissa) return kNan;
  return bits >> 15 ? -kInfinity : kInfinity;
}

}  // namespace

std::vector<float> float8_e4m3_numbers() {
  auto numbers = all_numbers(4, 3);
  numbers[0x7f] = numbers[0xff] = kNan;
  return numbers;
}

std::vector<float> float8_e5m2_numbers() {
  auto numbers = all_numbers(5, 2);
  for (const unsigned sign : {0u, 0x80u}) {
    numbers[sign | 0x7c] = sign ? -kInfinity : kInfinity;
    for (unsigned code = 0x7d; code <= 0x7f; ++code) numbers[sign | code] = kNan;
  }
  return numbers;
}

std::vector<float> float8_e8m0_numbers() {
  std::vector<float> numbers(256);
  for (int code = 0; code < 255; ++code) numbers[code] = std::ldexp(1.0f, code - 127);
  numbers[255] = kNan;
  return numbers;
}

std::vector<float> float4_e2m1_numbers() { return all_numbers(2, 1); }

std::vector<float> whole_numbers(int bits, int offset) {
  std::vector<float> numbers(size_t{1} << bits);
  for (size_t code = 0; code < numbers.size(); ++code) {
    numbers[code] = static_cast<float>(static_cast<int>(code) - offset);
  }
  return numbers;
}

std::vector<float> int8_numbers() {
  std::vector<float> numbers(256);
  for (int code = 0; code < 256; ++code) {
    numbers[code] = static_cast<float>(static_cast<int8_t>(code));
  }
  return numbers;
}

float stored_number(const StoredTensor& tensor, int64_t index) {
  static const auto e4m3 = float8_e4m3_numbers(), e8m0 = float8_e8m0_numbers();
  const auto& type = tensor.type_name;
  if (type == "F32") return element<float>(tensor, index);
  if (type == "F16") return half_number(element<uint16_t>(tensor, index));
  if (type == "BF16") {
    return std::bit_cast<float>(static_cast<uint32_t>(element<uint16_t>(tensor, index)) << 16);
  }
  if (type == "F8_E4M3") return e4m3[element<uint8_t>(tensor, index)];
  ensure(type == "F8_E8M0" || type == "U8", "scales have one of the types that are known");
  return e8m0[element<uint8_t>(tensor, index)];
}

}  // namespace actsweep
