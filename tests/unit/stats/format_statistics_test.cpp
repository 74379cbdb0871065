#include "stats/format_statistics.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "device.h"
#include "measure/format_errors.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

const std::vector<NumberFormat> kFormats = {NumberFormat::kInt8Token, NumberFormat::kFp8E4M3Token,
                                            NumberFormat::kMxfp8E4M3, NumberFormat::kMxfp4,
                                            NumberFormat::kNvfp4};

/// All numbers of a type with so many exponents and bits of mantissa, from 0 to the largest.
std::vector<double> numbers_of(int exponents, int bias, int mantissa, double largest) {
  std::vector<double> numbers;
  const int steps = 1 << mantissa;
  for (int exponent = 0; exponent < exponents; ++exponent) {
    for (int i = 0; i < steps; ++i) {
      const double part = static_cast<double>(i) / steps;
      const double number =
          exponent == 0 ? std::ldexp(part, 1 - bias) : std::ldexp(1 + part, exponent - bias);
      if (number <= largest) numbers.push_back(number);
    }
  }
  return numbers;
}

std::vector<double> numbers_of(NumberFormat format) {
  if (format == NumberFormat::kInt8Token) {
    std::vector<double> whole;
    for (int i = 0; i <= 127; ++i) whole.push_back(i);
    return whole;
  }
  const bool is_e4m3 = format == NumberFormat::kFp8E4M3Token || format == NumberFormat::kMxfp8E4M3;
  return is_e4m3 ? numbers_of(16, 7, 3, 448) : numbers_of(4, 1, 1, 6);
}

/// The nearest number; of two, the one at an even place, whose last bit is 0.
double nearest(double value, const std::vector<double>& numbers) {
  size_t best = 0;
  for (size_t i = 1; i < numbers.size(); ++i) {
    const double off = std::fabs(numbers[i] - value), least = std::fabs(numbers[best] - value);
    if (off < least || (off == least && i % 2 == 0)) best = i;
  }
  return numbers[best];
}

float largest_of(const float* row, int64_t first, int64_t end) {
  float largest = 0;
  for (int64_t c = first; c < end; ++c) largest = std::max(largest, std::fabs(row[c]));
  return largest;
}

double mx_scale(float largest, int largest_exponent) {
  const int exponent = largest > 0 ? std::ilogb(largest) - largest_exponent : -127;
  return std::ldexp(1.0, std::max(exponent, -127));
}

double scale_of(NumberFormat format, const float* row, int64_t channels, int64_t c) {
  const float of_row = largest_of(row, 0, channels);
  const auto of_block = [&](int64_t size) {
    return largest_of(row, c / size * size, std::min(c / size * size + size, channels));
  };
  switch (format) {
    case NumberFormat::kInt8Token:
      return of_row / 127;
    case NumberFormat::kFp8E4M3Token:
      return of_row / 448;
    case NumberFormat::kMxfp8E4M3:
      return mx_scale(of_block(32), 8);
    case NumberFormat::kMxfp4:
      return mx_scale(of_block(32), 2);
    case NumberFormat::kNvfp4:
      break;
  }
  const float of_token = of_row / 6 / 448;
  if (of_token == 0) return 0;
  const float wanted = of_block(16) / 6 / of_token;
  const auto coarse = static_cast<float>(nearest(wanted, numbers_of(NumberFormat::kFp8E4M3Token)));
  return of_token * coarse;
}

double error_of(NumberFormat format, const float* row, int64_t channels) {
  const auto numbers = numbers_of(format);
  double sum = 0;
  for (int64_t c = 0; c < channels; ++c) {
    const double scale = scale_of(format, row, channels, c), x = std::fabs(row[c]);
    const float quotient = scale > 0 ? std::fabs(row[c]) / static_cast<float>(scale) : 0;
    const double off = x - scale * nearest(quotient, numbers);
    sum += off * off;
  }
  return sum;
}

double square_of(const float* row, int64_t channels) {
  double sum = 0;
  for (int64_t c = 0; c < channels; ++c) sum += static_cast<double>(row[c]) * row[c];
  return sum;
}

/// Rows of all sizes: zeros, the smallest and the largest magnitudes, ties, blocks of which one is
/// tiny beside another.
Batch make_sizes(int64_t channels) {
  Batch batch = make_batch({40, 7, 1, 0}, channels, 9 + channels);
  std::fill_n(row_of(batch, 0, 3), channels, 0.0f);
  std::fill_n(row_of(batch, 0, 4), channels, std::numeric_limits<float>::denorm_min());
  std::fill_n(row_of(batch, 0, 5), channels, -std::numeric_limits<float>::max());
  std::fill_n(row_of(batch, 0, 6), channels, 1e-38f);
  for (int64_t c = 0; c < channels; ++c) {
    row_of(batch, 1, 0)[c] = static_cast<float>(c % 29) / 4 - 3;  // ties of all types
    row_of(batch, 1, 1)[c] = std::ldexp(1.5f, static_cast<int>(c / 16 * 5 % 60) - 30);
    row_of(batch, 1, 2)[c] = c == 0 ? 448.0f : static_cast<float>(c) * 0.5f;
  }
  row_of(batch, 0, 9)[channels - 1] = std::nanf("");
  row_of(batch, 0, 10)[channels / 2] = 3e4f;
  return batch;
}

bool is_finite(const float* row, int64_t channels) {
  return std::all_of(row, row + channels, [](float x) { return std::isfinite(x); });
}

/// Sums over the tokens, by plain loops over tables of numbers.
Values expected(Batch& batch) {
  const int64_t channels = batch.rows.size(1);
  std::vector<double> errors(kFormats.size()), squares(kFormats.size());
  for (size_t i = 0; i < batch.labels.windows.size(); ++i) {
    for (int64_t p = 0; p < batch.labels.windows[i].length(); ++p) {
      const float* row = row_of(batch, static_cast<int64_t>(i), p);
      if (!is_finite(row, channels)) continue;
      for (size_t format = 0; format < kFormats.size(); ++format) {
        errors[format] += error_of(kFormats[format], row, channels);
        squares[format] += square_of(row, channels);
      }
    }
  }
  return {{"residual/format_error_square", errors}, {"residual/format_square", squares}};
}

Values measured(const Batch& batch) {
  Job job;
  job.statistics.formats = kFormats;
  SiteStatistics statistics(Site::kResidual, job,
                            {{Axis::kLayer, 2}, {Axis::kChannel, batch.rows.size(1)}},
                            test_device());
  statistics.begin_segment();
  CollectingSink sink;
  std::vector<Event> events;
  statistics.update({batch.rows.to(test_device()), 1, &batch.labels}, sink, events);
  statistics.finish(sink, events);
  return values_of(statistics.fields(), 1);
}

class FormatStatistics : public ::testing::TestWithParam<int64_t> {
 protected:
  void TearDown() override { at::set_num_threads(1); }
};

TEST_P(FormatStatistics, AgreeWithTablesOfNumbers) {
  Batch batch = make_sizes(GetParam());
  std::fill_n(row_of(batch, 0, 5), GetParam(), 1e6f);  // whose squares would hide all others
  for (const int threads : {1, 3}) {
    at::set_num_threads(threads);
    expect_equal(measured(batch), expected(batch), 1e-12);
  }
}

/// Row by row; what runs on a GPU, too, on the host's tensors.
TEST_P(FormatStatistics, EachRowIsRoundedAsTheTablesSay) {
  const int64_t channels = GetParam();
  Batch batch = make_sizes(channels);
  std::vector<int64_t> counted;
  for (int64_t row = 0; row < batch.labels.row_count(); ++row) {
    if (is_finite(batch.rows[row].const_data_ptr<float>(), channels)) counted.push_back(row);
  }
  const auto one = cpu::format_errors(batch.rows, counted, kFormats);
  const auto other = aten::format_errors(batch.rows, counted, kFormats);
  for (size_t format = 0; format < kFormats.size(); ++format) {
    for (size_t i = 0; i < counted.size(); ++i) {
      const float* row = batch.rows[counted[i]].const_data_ptr<float>();
      const double wanted = error_of(kFormats[format], row, channels);
      const auto at = std::pair(static_cast<int64_t>(format), static_cast<int64_t>(i));
      for (const auto& found : {one, other}) {
        EXPECT_NEAR(found.error_square[at.first][at.second].item<double>(), wanted, 1e-12 * wanted)
            << name_of(kFormats[format]) << ", row " << counted[i];
      }
    }
  }
  EXPECT_TRUE(at::allclose(one.square, other.square, 1e-12, 0));
}

INSTANTIATE_TEST_SUITE_P(Channels, FormatStatistics, ::testing::Values(1, 16, 37, 48, 64, 601));

}  // namespace
}  // namespace actsweep::testing
