#include "measure/format_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "measure/quantiser_kernels.h"

// This file is compiled with -O3 and with -ffp-contract=off: a fused multiply-add on one
// instruction set alone would change bits.

namespace actsweep::kernels {

namespace {

constexpr int64_t kLanes = kBlockChannels;

ACTSWEEP_INLINE double sum_of(const double* lanes) {
  double sum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

ACTSWEEP_INLINE double error_of(float x, float scale, float divisor, const ElementFormat& element) {
  const float magnitude = std::fabs(x);
  const float rounded = round_to(magnitude / divisor, element);
  return static_cast<double>(magnitude) - static_cast<double>(scale) * static_cast<double>(rounded);
}

/// By which a scale's values are divided: where it is 0 they become 0 whatever that is.
ACTSWEEP_INLINE float divisor_of(float scale) { return scale > 0 ? scale : 1; }

/// Adds to `sums` [kLanes] the errors of `whole` values, a multiple of kLanes. A function of its
/// own, as scan_blocks of row_kernels.cpp.
ACTSWEEP_CLONES
void add_errors(const ElementFormat element, const float* row, int64_t whole, const float* scale,
                double* sums) {
  double square[kLanes] = {};
  for (int64_t block = 0; block < whole / kLanes; ++block) {
    const float of_block = scale[block], divisor = divisor_of(of_block);
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double off = error_of(row[block * kLanes + lane], of_block, divisor, element);
      square[lane] += off * off;
    }
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] = square[lane];
}

float of_row(std::span<const int32_t> largest_bits, float largest) {
  return std::bit_cast<float>(*std::max_element(largest_bits.begin(), largest_bits.end())) /
         largest;
}

/// Of blocks of two times kBlockChannels.
void find_power_scales(int32_t largest_exponent, std::span<const int32_t> largest_bits,
                       float* scale) {
  for (size_t block = 0; block < largest_bits.size(); ++block) {
    const size_t first = block / 2 * 2, last = std::min(first + 1, largest_bits.size() - 1);
    scale[block] = power_scale(std::max(largest_bits[first], largest_bits[last]), largest_exponent);
  }
}

void find_two_level_scales(std::span<const int32_t> largest_bits, float* scale) {
  const float of_token = of_row(largest_bits, kE2M1.largest) / kE4M3.largest;
  for (size_t block = 0; block < largest_bits.size(); ++block) {
    const float wanted = std::bit_cast<float>(largest_bits[block]) / kE2M1.largest;
    scale[block] = of_token > 0 ? of_token * round_to(wanted / of_token, kE4M3) : 0;
  }
}

}  // namespace

void find_scales(NumberFormat format, std::span<const int32_t> largest_bits, float* scale) {
  switch (format) {
    case NumberFormat::kInt8Token:
    case NumberFormat::kFp8E4M3Token:
      std::fill_n(scale, largest_bits.size(), of_row(largest_bits, element_of(format).largest));
      return;
    case NumberFormat::kMxfp8E4M3:
    case NumberFormat::kMxfp4:
      return find_power_scales(largest_exponent_of(format), largest_bits, scale);
    case NumberFormat::kNvfp4:
      return find_two_level_scales(largest_bits, scale);
  }
}

double square_error(const ElementFormat& element, std::span<const float> row, const float* scale) {
  const int64_t channels = static_cast<int64_t>(row.size()), whole = channels / kLanes * kLanes;
  double sums[kLanes];
  add_errors(element, row.data(), whole, scale, sums);
  for (int64_t c = whole; c < channels; ++c) {
    const float of_block = scale[whole / kLanes];
    const double off = error_of(row[c], of_block, divisor_of(of_block), element);
    sums[c - whole] += off * off;
  }
  return sum_of(sums);
}

ACTSWEEP_CLONES
double square_sum(std::span<const float> row) {
  double lanes[kLanes] = {};
  const int64_t channels = static_cast<int64_t>(row.size()), whole = channels / kLanes * kLanes;
  for (int64_t c = 0; c < whole; c += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const double x = row[c + lane];
      lanes[lane] += x * x;
    }
  }
  for (int64_t c = whole; c < channels; ++c) {
    const double x = row[c];
    lanes[c - whole] += x * x;
  }
  return sum_of(lanes);
}

}  // namespace actsweep::kernels
