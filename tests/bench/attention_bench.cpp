// Milliseconds of causal attention for 4096 tokens of one layer: our kernel against ATen's flash
// attention on CPU, with the heads of SmolLM2 (9 query heads, 3 key/value heads of 64).
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "kernels/attention.h"

namespace {

using namespace actsweep;

constexpr int64_t kTokens = 4096;
constexpr int kRepeats = 9;

double median_ms(const std::function<void()>& work) {
  std::vector<double> taken;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    taken.push_back(elapsed.count());
  }
  std::nth_element(taken.begin(), taken.begin() + kRepeats / 2, taken.end());
  return taken[kRepeats / 2];
}

/// ATen's own, as a model in eager PyTorch calls it, from views into the same rows.
void flash(const at::Tensor& qkv, const AttentionShape& shape, at::Tensor& out) {
  const auto heads = qkv.view({-1, shape.positions, qkv.size(1) / shape.width, shape.width});
  const auto part = [&](int64_t first, int64_t count) {
    return heads.narrow(2, first, count).transpose(1, 2);
  };
  const auto result = std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(
      part(0, shape.query_heads), part(shape.query_heads, shape.key_heads),
      part(shape.query_heads + shape.key_heads, shape.key_heads), 0.0, true));
  out.view({-1, shape.positions, shape.query_heads, shape.width}).copy_(result.transpose(1, 2));
}

}  // namespace

int main() {
  fmt::print("| dtype | T | actsweep | ATen flash | gain |\n|---|---|---|---|---|\n");
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t positions : {128, 512, 4096}) {
      const AttentionShape shape{positions, 9, 3, 64, 0};
      const auto qkv = at::randn({kTokens, 15 * 64}).to(dtype);
      auto out = at::empty({kTokens, 9 * 64}, dtype);
      AttentionCall call{};
      call.shape = shape;
      call.scores.scale = 0.125;
      call.runs = {{0, 9, 0, 3}};
      const double mine = median_ms([&] { attend(qkv, call, out); });
      const double theirs = median_ms([&] { flash(qkv, shape, out); });
      fmt::print("| {} | {} | {:.1f} ms | {:.1f} ms | {:.2f}x |\n", at::toString(dtype), positions,
                 mine, theirs, theirs / mine);
    }
  }
}
