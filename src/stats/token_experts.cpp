#include "stats/token_experts.h"

#include <ATen/ATen.h>

#include <limits>

#include "schema/declare_statistics.h"
#include "stats/token_rows.h"

namespace actsweep {
namespace {

constexpr int32_t kNone = -1;  // whose bits are those of the largest uint32
constexpr float kNoGate = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TokenExperts::TokenExperts(PerToken per_token, int64_t member, int64_t chosen)
    : datasets_(declare_token_experts(per_token)), member_(member), chosen_(chosen) {}

void TokenExperts::update(const Routing& routing, const OwnedRows& own, RowSink& sink) const {
  const std::vector<int64_t> shape = {own.padded_sequences, own.padded_length, chosen_};
  const auto mine = [&](const at::Tensor& of_all, at::ScalarType type) {
    return of_all.narrow(0, member_ * own.row_count(), own.row_count())
        .to(at::TensorOptions(at::kCPU).dtype(type))
        .view(shape);
  };
  const bool has_experts = routing.expert.defined();
  const auto expert =
      has_experts ? mine(routing.expert, at::kInt) : at::full(shape, kNone, at::kInt);
  const auto gate =
      has_experts ? mine(routing.weight, at::kFloat) : at::full(shape, kNoGate, at::kFloat);
  append_token_rows(datasets_[0], expert, own, sink);
  append_token_rows(datasets_[1], gate, own, sink);
}

}  // namespace actsweep
