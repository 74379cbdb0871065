#include "measure/format_errors.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "measure/format_kernels.h"
#include "measure/number_formats.h"
#include "measure/quantiser_kernels.h"
#include "measure/quantiser_rows.h"

namespace actsweep {

namespace {

FormatErrors empty_errors(const at::Tensor& rows, size_t counted, size_t formats) {
  const auto options = rows.options().dtype(at::kDouble);
  const auto count = static_cast<int64_t>(counted);
  return {at::empty({static_cast<int64_t>(formats), count}, options), at::empty({count}, options)};
}

}  // namespace

FormatErrors format_errors(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const std::vector<NumberFormat>& formats) {
  return rows.is_cpu() ? cpu::format_errors(rows, counted, formats)
                       : aten::format_errors(rows, counted, formats);
}

namespace cpu {

FormatErrors format_errors(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const std::vector<NumberFormat>& formats) {
  auto errors = empty_errors(rows, counted.size(), formats.size());
  const auto channels = static_cast<size_t>(rows.size(1));
  const auto blocks = static_cast<size_t>(kernels::block_count(rows.size(1)));
  const float* values = rows.const_data_ptr<float>();
  auto* error = errors.error_square.mutable_data_ptr<double>();
  auto* square = errors.square.mutable_data_ptr<double>();
#pragma omp parallel num_threads(at::get_num_threads())
  {
    std::vector<int32_t> largest(blocks);
    std::vector<float> scale(blocks);
#pragma omp for schedule(static)
    for (size_t i = 0; i < counted.size(); ++i) {
      const std::span<const float> row(values + counted[i] * rows.size(1), channels);
      kernels::find_block_maxima(row, largest.data());
      square[i] = kernels::square_sum(row);
      for (size_t format = 0; format < formats.size(); ++format) {
        kernels::find_scales(formats[format], largest, scale.data());
        error[format * counted.size() + i] =
            kernels::square_error(element_of(formats[format]), row, scale.data());
      }
    }
  }
  return errors;
}

}  // namespace cpu

namespace aten {

namespace {

/// A division by a CPU's number is a product with its inverse on some devices.
at::Tensor divided(const at::Tensor& values, double by) {
  return values.div(at::full({1}, by, values.options()));
}

/// round_to of each element.
at::Tensor rounded(const at::Tensor& magnitude, const ElementFormat& element) {
  const int64_t least = (kFloatBias + element.smallest) << kFloatMantissa;
  const int64_t above = (kFloatMantissa - element.mantissa) << kFloatMantissa;
  const auto exponent = magnitude.view(at::kInt).bitwise_and(int64_t{kExponentMask});
  const auto shift = exponent.clamp_min(least).add(above).view(at::kFloat);
  return magnitude.add(shift).sub_(shift).clamp_max(element.largest);
}

at::Tensor power_scales(const at::Tensor& largest, int64_t largest_exponent) {
  const auto bits = largest.view(at::kInt).bitwise_and(int64_t{kExponentMask});
  const auto exponent = bits.sub(largest_exponent << kFloatMantissa);
  const auto is_normal = exponent.gt(0);
  return exponent.masked_fill(is_normal.logical_not(), int64_t{kBitsOfSmallestScale})
      .view(at::kFloat);
}

/// Of the largest magnitudes of a row's blocks [n, blocks, 1].
at::Tensor two_level_scales(const at::Tensor& largest) {
  const auto wanted = divided(largest, kE2M1.largest);
  const auto of_token = divided(divided(largest.amax(1, true), kE2M1.largest), kE4M3.largest);
  const auto is_none = of_token.eq(0);
  const auto scale = of_token * rounded(wanted / of_token.masked_fill(is_none, 1), kE4M3);
  return scale.masked_fill(is_none, 0);
}

/// [n] of magnitudes [n, C] float32.
at::Tensor square_error(NumberFormat format, const at::Tensor& magnitude) {
  const int64_t channels = magnitude.size(1);
  const int64_t size = channels_of_scale(format) > 0 ? channels_of_scale(format) : channels;
  const int64_t blocks = kernels::block_count(channels, size);
  const auto x =
      at::constant_pad_nd(magnitude, {0, blocks * size - channels}).view({-1, blocks, size});
  const auto largest = x.amax(2, true);
  const auto element = element_of(format);
  const auto scale = channels_of_scale(format) == 0 ? divided(largest, element.largest)
                     : format == NumberFormat::kNvfp4
                         ? two_level_scales(largest)
                         : power_scales(largest, largest_exponent_of(format));
  const auto quotient = x / scale.masked_fill(scale.eq(0), 1);
  const auto restored = rounded(quotient, element).to(at::kDouble) * scale.to(at::kDouble);
  return x.to(at::kDouble).sub_(restored).square_().sum({1, 2});
}

}  // namespace

FormatErrors format_errors(const at::Tensor& rows, const std::vector<int64_t>& counted,
                           const std::vector<NumberFormat>& formats) {
  auto errors = empty_errors(rows, counted.size(), formats.size());
  const auto count = static_cast<int64_t>(counted.size());
  const auto index = at::tensor(counted, at::kLong).to(rows.device());
  const int64_t together = std::max<int64_t>(1, kTogetherValues / rows.size(1));
  for (int64_t first = 0; first < count; first += together) {
    const int64_t length = std::min(together, count - first);
    const auto magnitude = rows.index_select(0, index.narrow(0, first, length)).abs_();
    errors.square.narrow(0, first, length).copy_(magnitude.to(at::kDouble).square_().sum(1));
    for (size_t format = 0; format < formats.size(); ++format) {
      errors.error_square[static_cast<int64_t>(format)]
          .narrow(0, first, length)
          .copy_(square_error(formats[format], magnitude));
    }
  }
  return errors;
}

}  // namespace aten

}  // namespace actsweep
