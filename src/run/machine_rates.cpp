#include "run/machine_rates.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include "kernels/attention.h"
#include "kernels/product.h"
#include "plan/products.h"
#include "weights/stage.h"

namespace actsweep {
namespace {

// Not measured, but as in docs/performance.md or of an ordinary machine, in bytes per second.
constexpr double kStatisticsOfThread = 5.5e9, kStatisticsOfGpu = 370e9;
constexpr double kCompressionOfThread = 1.35e9;
constexpr double kDiskRead = 1e9, kDiskWrite = 0.5e9, kNetwork = 1.2e9, kHostLink = 25e9;
constexpr double kStartOfCpu_s = 0.3, kStartOfGpu_s = 5;
constexpr int64_t kMostRows = 8192, kMostRowsOfCpu = 1024, kLongestSideOfGpu = 8192;

struct Measuring {
  at::Device device;
  MeasuringEffort effort;

  int64_t longest_side() const { return device.is_cpu() ? effort.longest_side : kLongestSideOfGpu; }
  int64_t most_rows() const { return device.is_cpu() ? kMostRowsOfCpu : kMostRows; }
  at::Tensor random(int64_t rows, int64_t columns, at::ScalarType dtype) const {
    return at::randn({rows, columns}, at::TensorOptions().device(device)).to(dtype);
  }
};

/// Seconds of a call, the end of the device's work included.
template <typename Call>
double seconds_of(const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor& result = call();
  result.flatten()[0].item();  // waits for the device
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The middle of some times, of two the longer: what a call takes among others, which now and then
/// disturb it. A sweep has no better luck over its many calls.
double middle_of(std::vector<double> times) {
  const auto middle = times.begin() + static_cast<int64_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

/// A product of a layer, and the times that it took.
struct TimedProduct {
  at::Tensor rows, weight, out;
  double operations = 0;  // of one time
  double share = 0;       // of a token's operations
  std::vector<double> times_s = {};

  double take() {
    return seconds_of([&]() -> const at::Tensor& {
      project(rows, weight, {}, out);
      return out;
    });
  }
  void measure() { times_s.push_back(take()); }
};

/// The operations of a token by the sides of the products that they are taken in.
std::map<std::pair<int64_t, int64_t>, double> sides_of(const SweepFacts& facts,
                                                       const ModelShare& share, int64_t longest) {
  std::map<std::pair<int64_t, int64_t>, double> sides;
  for (int64_t layer = 0; layer < facts.architecture.layers; ++layer) {
    for (const auto& product : layer_products(facts.architecture, facts.rows, share, layer)) {
      sides[{std::min(product.in, longest), std::min(product.out, longest)}] +=
          product.operations();
    }
  }
  return sides;
}

std::vector<TimedProduct> products_of(const SweepFacts& facts, const ModelShare& share,
                                      const Measuring& measuring) {
  const int64_t microbatch =
      facts.segments.windows_per_microbatch * facts.job.corpus.sequence_length;
  const int64_t rows = std::min(microbatch, measuring.most_rows());
  const auto dtype = scalar_type(facts.job.model.dtype);
  std::vector<TimedProduct> products;
  for (const auto& [side, operations] : sides_of(facts, share, measuring.longest_side())) {
    auto& product = products.emplace_back();
    product.rows = measuring.random(rows, side.first, dtype);
    product.weight = measuring.random(side.second, side.first, dtype);
    product.out = at::empty({rows, side.second}, product.rows.options());
    product.operations = 2.0 * static_cast<double>(rows * side.first * side.second);
    product.share = operations;
  }
  return products;
}

/// Of all products as a token has them.
double product_rate(std::vector<TimedProduct>& products, const Measuring& measuring) {
  const auto start = std::chrono::steady_clock::now();
  const auto passed_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (auto& product : products) product.take();  // chooses kernels and starts threads
  do {
    for (auto& product : products) product.measure();
  } while (passed_s() < measuring.effort.seconds);
  double operations = 0, seconds = 0;
  for (const auto& product : products) {
    operations += product.share;
    seconds += product.share / product.operations * middle_of(product.times_s);
  }
  return seconds > 0 ? operations / seconds : 0;
}

template <typename Call>
double middle_of_three_s(const Call& call) {
  return middle_of({seconds_of(call), seconds_of(call), seconds_of(call)});
}

/// Of one window, shortened to the longest side.
double attention_rate(const SweepFacts& facts, const ModelShare& share,
                      const Measuring& measuring) {
  const auto& a = facts.architecture;
  AttentionCall call;
  call.shape = {std::min(facts.job.corpus.sequence_length, measuring.longest_side()),
                share.query_heads.size(), share.key_heads.size(), a.widest_head()};
  call.scores.scale = 0.1;
  call.runs = share.runs;
  const auto& shape = call.shape;
  const int64_t rows =
      std::max<int64_t>(1, measuring.most_rows() / shape.positions) * shape.positions;
  const auto qkv = measuring.random(rows, (shape.query_heads + 2 * shape.key_heads) * shape.width,
                                    scalar_type(facts.job.model.dtype));
  auto out = at::empty({rows, shape.query_heads * shape.width}, qkv.options());
  const double seconds = middle_of_three_s([&]() -> const at::Tensor& {
    attend(qkv, call, out);
    return out;
  });
  const double keys = static_cast<double>(shape.positions + 1) / 2;
  return 4 * keys * static_cast<double>(rows * shape.query_heads * shape.width) / seconds;
}

double memory_rate(const Measuring& measuring) {
  const int64_t side = measuring.longest_side();
  const auto left = measuring.random(side, side, at::kFloat);
  auto right = at::ones_like(left);
  const double seconds = middle_of_three_s([&]() -> const at::Tensor& { return right.add_(left); });
  return 12 * static_cast<double>(side * side) / seconds;
}

double float32_rate(const Measuring& measuring) {
  const int64_t side = measuring.device.is_cpu() ? 512 : 4096;
  TimedProduct product;
  product.rows = measuring.random(side, side, at::kFloat);
  product.weight = measuring.random(side, side, at::kFloat);
  product.out = at::empty_like(product.rows);
  for (int i = 0; i < 3; ++i) product.measure();
  return 2.0 * static_cast<double>(side * side * side) / middle_of(product.times_s);
}

void add_unmeasured(const Measuring& measuring, Rates& rates) {
  const double threads = at::get_num_threads();
  const bool is_cpu = measuring.device.is_cpu();
  rates.statistics = is_cpu ? kStatisticsOfThread * threads : kStatisticsOfGpu;
  rates.link = is_cpu ? rates.memory / 4 : kHostLink;
  rates.host_link = is_cpu ? 0 : kHostLink;
  rates.gather = is_cpu ? rates.memory / 2 : kHostLink;
  rates.network = kNetwork;
  rates.disk_read = kDiskRead;
  rates.disk_write = kDiskWrite;
  rates.compression = kCompressionOfThread;
  rates.start_s = is_cpu ? kStartOfCpu_s : kStartOfGpu_s;
}

}  // namespace

Rates measure_rates(const SweepFacts& facts, at::Device device, const MeasuringEffort& effort) {
  const Measuring measuring = {device, effort};
  // Member 0 has heads whatever the size of the group.
  const auto share = share_of(facts.architecture, facts.job.parallel.tensor, 0);
  auto products = products_of(facts, share, measuring);
  Rates rates;
  rates.products = product_rate(products, measuring);
  rates.float32_products = float32_rate(measuring);
  rates.memory = memory_rate(measuring);
  const bool attends = facts.architecture.has_attention() && share.query_heads.size() > 0;
  rates.attention = attends ? attention_rate(facts, share, measuring) : rates.products;
  add_unmeasured(measuring, rates);
  return rates;
}

}  // namespace actsweep
