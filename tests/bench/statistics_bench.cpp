// Microseconds per row and core of the residual's statistics: the fused pass against a plain one
// with nth_element.
//
// Prints a table; exit code 1 if the fused pass misses --limit_us for 576 channels, where one is
// given.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <string_view>

#include "stats/site_statistics.h"

namespace {

using namespace actsweep;

constexpr int64_t kWindows = 8;
constexpr int64_t kLength = 512;
constexpr int kRepeats = 7;

class DiscardingSink : public RowSink {
 public:
  void append(const Dataset&, std::span<const std::byte> values) override {
    bytes += values.size();
  }
  size_t bytes = 0;
};

struct Sample {
  OwnedRows labels;
  at::Tensor rows;  // [kWindows * kLength, C] float32
};

Sample make_sample(int64_t channels) {
  Sample sample;
  sample.labels.padded_length = kLength;
  sample.labels.padded_sequences = kWindows;
  std::mt19937_64 random(1);
  for (int64_t i = 0; i < kWindows; ++i) {
    sample.labels.windows.push_back({i, i * kLength, i * kLength, kLength, false});
  }
  for (int64_t row = 0; row < sample.labels.row_count(); ++row) {
    sample.labels.token_id.push_back(0);
    sample.labels.document.push_back(0);
    sample.labels.token_class.push_back(row % kLength == 0 ? 0 : 1 + random() % 3);
  }
  sample.rows = at::empty({sample.labels.row_count(), channels}, at::kFloat);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  float* values = sample.rows.mutable_data_ptr<float>();
  std::generate_n(values, sample.rows.numel(), [&] { return normal(random); });
  for (int64_t i = 0; i < kWindows; ++i) values[i * kLength * channels + channels / 2] = 5000.0f;
  return sample;
}

/// Processor time of the fastest repeat, per row: what others do on the machine disturbs it least.
template <typename Run>
double microseconds_per_row(int64_t rows, Run run) {
  double fastest = HUGE_VAL;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const std::clock_t start = std::clock();
    run();
    const double taken_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    fastest = std::min(fastest, 1e6 * taken_s / static_cast<double>(rows));
  }
  return fastest;
}

double time_site(const Sample& sample, MeasuredBy measured_by) {
  SiteStatistics statistics(Site::kResidual, Job{},
                            {{Axis::kLayer, 1}, {Axis::kChannel, sample.rows.size(1)}}, at::kCPU,
                            measured_by);
  statistics.begin_segment();
  DiscardingSink sink;
  std::vector<Event> events;
  return microseconds_per_row(sample.labels.row_count(), [&] {
    events.clear();
    statistics.update({sample.rows, 0, &sample.labels}, sink, events);
  });
}

/// The same numbers per row and channel (without those per sequence), as one would first write
/// them.
double time_plain(const Sample& sample) {
  const int64_t channels = sample.rows.size(1);
  const float* rows = sample.rows.const_data_ptr<float>();
  std::vector<double> sum(channels), square(channels), fourth(channels);
  std::vector<float> largest(channels), magnitude(channels);
  std::vector<int64_t> above_6(channels), histogram(kMagnitudeBins);
  double checksum = 0;
  const double time = microseconds_per_row(sample.labels.row_count(), [&] {
    for (int64_t row = 0; row < sample.labels.row_count(); ++row) {
      double norm = 0;
      for (int64_t c = 0; c < channels; ++c) {
        const double x = rows[row * channels + c];
        magnitude[c] = static_cast<float>(std::fabs(x));
        norm += x * x;
        sum[c] += x;
        square[c] += x * x;
        fourth[c] += x * x * x * x;
        largest[c] = std::max(largest[c], magnitude[c]);
        above_6[c] += magnitude[c] >= 6;
        uint32_t bits;
        std::memcpy(&bits, &magnitude[c], sizeof bits);
        ++histogram[bits >> 16];
      }
      std::nth_element(magnitude.begin(), magnitude.begin() + (channels - 1) / 2, magnitude.end());
      checksum += magnitude[(channels - 1) / 2] + std::sqrt(norm);
      std::partial_sort(magnitude.begin(), magnitude.begin() + 3, magnitude.end(),
                        std::greater<>());
      checksum += magnitude[2];
    }
  });
  return std::isfinite(checksum) ? time : -1;
}

}  // namespace

int main(int argc, char** argv) {
  double limit_us = HUGE_VAL;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string_view(argv[i]) == "--limit_us") limit_us = std::stod(argv[i + 1]);
  }
  at::set_num_threads(1);
  fmt::print("microseconds of one core per row, {} windows of {} tokens, fastest of {}\n", kWindows,
             kLength, kRepeats);
  fmt::print("{:>8} {:>8} {:>8} {:>8} {:>8}\n", "channels", "fused", "ATen", "plain", "gain");
  bool is_fast_enough = true;
  for (const int64_t channels : {576, 2048, 4096}) {
    const Sample sample = make_sample(channels);
    const double fused = time_site(sample, MeasuredBy::kDefault);
    const double aten = time_site(sample, MeasuredBy::kAten);
    const double plain = time_plain(sample);
    fmt::print("{:>8} {:>8.3f} {:>8.3f} {:>8.3f} {:>7.1f}x\n", channels, fused, aten, plain,
               plain / fused);
    if (channels == 576) is_fast_enough = fused <= limit_us;
  }
  return is_fast_enough ? 0 : 1;
}
