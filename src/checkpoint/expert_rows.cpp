// The rows of routers and experts.
#include <utility>

#include "base/error.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

TensorRows& TensorRows::router(const std::string& name, bool has_bias) {
  const auto first = rows_.size();
  product(name, Weight::kRouter, 0, Cut::kNone, 0, {a_.experts.count, a_.channels});
  if (has_bias) vector(name + ".bias", Weight::kRouterBias, 0, Cut::kNone, a_.experts.count);
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::float32_router(const std::string& name) {
  router(name, false);
  rows_.back().is_float32 = true;
  return *this;
}

TensorRows& TensorRows::router_correction(const std::string& name, std::vector<int64_t> shape) {
  const auto first = rows_.size();
  parameter(name, Weight::kRouterCorrection, std::move(shape));
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::experts(const std::string& prefix, const std::string& gate,
                                const std::string& up, const std::string& down_name) {
  const int64_t width = a_.experts.ffn_width;
  const auto first = rows_.size();
  for (int64_t expert = 0; expert < a_.experts.count; ++expert) {
    const auto name = numbered(prefix, "{e}", expert);
    const auto add = [&](const std::string& suffix, Weight weight, int part, int64_t out,
                         int64_t in) {
      product(name + suffix, weight, part, Cut::kExperts, 0, {out, in}).only_unit = expert;
    };
    add(gate, Weight::kExpertGateUp, 0, width, a_.channels);
    add(up, Weight::kExpertGateUp, 1, width, a_.channels);
    add(down_name, Weight::kExpertDown, 0, a_.channels, width);
  }
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::stacked_under(const std::string& once, const std::string& now) {
  for (auto& row : rows_) {
    const auto place = row.name.find(once);
    if (place == std::string::npos || !row.stacked_name.empty()) continue;
    row.stacked_name = std::string(row.name).replace(place, once.size(), now);
  }
  return *this;
}

TensorRow& TensorRows::stacked(const std::string& name, Weight weight, int64_t expert,
                               std::vector<int64_t> shape) {
  rows_.push_back({.name = name,
                   .weight = weight,
                   .cut = Cut::kExperts,
                   .shape = std::move(shape),
                   .only_unit = expert,
                   .is_stacked = true});
  return rows_.back();
}

TensorRows& TensorRows::alternating_experts(const std::string& gate_up,
                                            const std::string& down_name) {
  const int64_t count = a_.experts.count, width = a_.experts.ffn_width, c = a_.channels;
  const auto first = rows_.size();
  for (int64_t expert = 0; expert < count; ++expert) {
    for (int part = 0; part < 2; ++part) {
      const UnitOrder order = {1, 2, part};
      auto& weight = stacked(gate_up, Weight::kExpertGateUp, expert, {count, c, 2 * width});
      weight.part = part;
      weight.order = order;
      weight.is_transposed = true;
      auto& bias =
          stacked(gate_up + "_bias", Weight::kExpertGateUpBias, expert, {count, 2 * width});
      bias.part = part;
      bias.order = order;
    }
    stacked(down_name, Weight::kExpertDown, expert, {count, width, c}).is_transposed = true;
    stacked(down_name + "_bias", Weight::kExpertDownBias, expert, {count, c});
  }
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::stacked_experts(const std::string& gate_up, const std::string& down_name) {
  const int64_t count = a_.experts.count, width = a_.experts.ffn_width, c = a_.channels;
  const auto first = rows_.size();
  for (int64_t expert = 0; expert < count; ++expert) {
    for (int part = 0; part < 2; ++part) {
      auto& row = stacked(gate_up, Weight::kExpertGateUp, expert, {count, 2 * width, c});
      row.part = part;
      row.unit = width;
      row.order = {1, 2, part};
    }
    stacked(down_name, Weight::kExpertDown, expert, {count, c, width});
  }
  for (auto row = first; row < rows_.size(); ++row) rows_[row].may_be_exchanged = true;
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::joined_experts(const std::string& prefix) {
  const int64_t count = a_.experts.count, width = a_.experts.ffn_width;
  const auto first = rows_.size();
  for (int64_t expert = 0; expert < count; ++expert) {
    stacked(prefix + "w1", Weight::kExpertGateUp, expert, {count * width, a_.channels});
    stacked(prefix + "v1", Weight::kExpertGateUp, expert, {count * width, a_.channels}).part = 1;
    stacked(prefix + "w2", Weight::kExpertDown, expert, {count * width, a_.channels})
        .is_transposed = true;
  }
  for (auto row = first; row < rows_.size(); ++row) rows_[row].joined = count;
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

std::vector<TensorRow> with_stacked_experts(const std::vector<TensorRow>& rows,
                                            const Architecture& a) {
  const int64_t count = a.experts.count, width = a.experts.ffn_width;
  auto changed = rows;
  for (auto& row : changed) {
    if (!row.stacked_name.empty()) row.name = row.stacked_name;
    if (row.cut != Cut::kExperts || row.is_stacked) continue;
    const bool is_down = row.weight == Weight::kExpertDown;
    const auto start = row.name.substr(0, row.name.find(numbered(".{e}.", "{e}", row.only_unit)));
    row.name = start + (is_down ? ".down_proj" : ".gate_up_proj");
    row.shape =
        is_down ? std::vector{count, a.channels, width} : std::vector{count, 2 * width, a.channels};
    row.is_stacked = true;
    if (is_down) continue;
    row.unit = width;
    row.order = {1, 2, row.part};
  }
  return changed;
}

TensorRows& TensorRows::shared_expert(const std::string& prefix) {
  const auto first = rows_.size();
  gated_mlp({prefix + "gate_proj", prefix + "up_proj", prefix + "down_proj"},
            Cut::kSharedFeedForward, a_.experts.shared_width);
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::shared_expert(const std::string& prefix, const std::string& gate) {
  shared_expert(prefix);
  const auto first = rows_.size();
  product(gate, Weight::kSharedGate, 0, Cut::kNone, 0, {1, a_.channels});
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::fused_shared_expert(const std::string& gate_up,
                                            const std::string& down_name) {
  const auto first = rows_.size();
  fused_gated_mlp(gate_up, down_name, Cut::kSharedFeedForward, a_.experts.shared_width);
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

void TensorRows::belong_to(TensorRow::Layers layers, size_t first) {
  for (auto row = first; row < rows_.size(); ++row) rows_[row].layers = layers;
}

}  // namespace actsweep
