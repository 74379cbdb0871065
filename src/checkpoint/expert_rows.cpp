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

void TensorRows::expert_product(const std::string& name, Weight weight, int part, int64_t expert) {
  const int64_t width = a_.experts.ffn_width;
  const bool is_down = weight == Weight::kExpertDown;
  const auto shape = is_down ? std::vector{a_.channels, width} : std::vector{width, a_.channels};
  product(name, weight, part, Cut::kExperts, 0, shape).only_unit = expert;
}

TensorRows& TensorRows::experts(const std::string& prefix, const std::string& gate,
                                const std::string& up, const std::string& down_name) {
  const auto first = rows_.size();
  for (int64_t expert = 0; expert < a_.experts.count; ++expert) {
    const auto name = numbered(prefix, "{e}", expert);
    expert_product(name + gate, Weight::kExpertGateUp, 0, expert);
    expert_product(name + up, Weight::kExpertGateUp, 1, expert);
    expert_product(name + down_name, Weight::kExpertDown, 0, expert);
  }
  belong_to(TensorRow::Layers::kExperts, first);
  return *this;
}

TensorRows& TensorRows::experts(const std::string& prefix, const std::string& up,
                                const std::string& down_name) {
  const auto first = rows_.size();
  for (int64_t expert = 0; expert < a_.experts.count; ++expert) {
    const auto name = numbered(prefix, "{e}", expert);
    expert_product(name + up, Weight::kExpertGateUp, 0, expert);
    expert_product(name + down_name, Weight::kExpertDown, 0, expert);
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

TensorRows& TensorRows::stacked_in_out_experts(const std::string& gate_up,
                                               const std::string& down_name) {
  const auto first = rows_.size();
  stacked_experts(gate_up, down_name);
  for (auto row = rows_.begin() + static_cast<ptrdiff_t>(first); row != rows_.end(); ++row) {
    std::swap(row->shape[1], row->shape[2]);
    row->is_transposed = true;
    row->may_be_exchanged = false;
  }
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
    const auto start = row.name.substr(0, row.name.find(numbered(".{e}.", "{e}", row.only_unit)));
    row.is_stacked = true;
    if (row.weight == Weight::kExpertDown) {
      row.name = start + ".down_proj";
      row.shape = {count, a.channels, width};
    } else if (a.is_gated) {
      row.name = start + ".gate_up_proj";
      row.shape = {count, 2 * width, a.channels};
      row.unit = width;
      row.order = {1, 2, row.part};
    } else {
      row.name = start + ".up_proj";
      row.shape = {count, width, a.channels};
    }
  }
  return changed;
}

TensorRows& TensorRows::shared_expert(const std::string& prefix) {
  const auto first = rows_.size();
  gated_mlp(prefix, Cut::kSharedFeedForward, a_.experts.shared_width);
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

TensorRows& TensorRows::ungated_shared_expert(const std::string& up, const std::string& down_name) {
  const auto first = rows_.size();
  ungated_mlp(up, down_name, Cut::kSharedFeedForward, a_.experts.shared_width);
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
