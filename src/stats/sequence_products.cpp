#include "stats/sequence_products.h"

#include <ATen/ATen.h>

#include <cstdint>

namespace actsweep {
namespace {

constexpr std::uintptr_t kLine = 64;  // bytes

}  // namespace

at::Tensor aligned(const at::Tensor& matrix) {
  const auto address = reinterpret_cast<std::uintptr_t>(matrix.const_data_ptr());
  return address % kLine == 0 ? matrix : matrix.clone();
}

at::Tensor stacked(const std::vector<at::Tensor>& products) {
  return products.size() == 1 ? products.front().unsqueeze(0) : at::stack(products);
}

at::Tensor products_of(const at::Tensor& a, const at::Tensor& b) {
  if (!a.is_cpu()) {
    const auto flat = [](const at::Tensor& x) { return x.reshape({-1, x.size(2), x.size(3)}); };
    return at::bmm(flat(a), flat(b)).view({-1, a.size(1), a.size(2), b.size(3)});
  }
  std::vector<at::Tensor> products;
  for (int64_t i = 0; i < a.size(0); ++i) {
    products.push_back(at::bmm(aligned(a.select(0, i)), aligned(b.select(0, i))));
  }
  return stacked(products);
}

void write_product(const at::Tensor& a, const at::Tensor& b, at::Tensor& out) {
  at::mm_out(out, aligned(a), aligned(b));
}

}  // namespace actsweep
