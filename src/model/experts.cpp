#include "model/experts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "kernels/ops.h"
#include "kernels/product.h"
#include "kernels/weighted_rows.h"

namespace actsweep {
namespace {

constexpr int64_t kAlignment = 64;  // bytes

/// One expert's weights, as views into those of all experts of the stage.
struct Expert {
  at::Tensor gate_up, gate_up_bias, down, down_bias;
};

Expert expert_of(const Architecture& a, const StageWeights& weights, int64_t index) {
  const int64_t channels = a.channels, projected = (a.is_gated ? 2 : 1) * a.experts.ffn_width;
  const auto part = [&](Weight weight, int64_t rows) {
    const auto& all = weights[weight];
    return all.defined() ? all.narrow(0, index * rows, rows) : at::Tensor();
  };
  return {part(Weight::kExpertGateUp, projected), part(Weight::kExpertGateUpBias, projected),
          part(Weight::kExpertDown, channels), part(Weight::kExpertDownBias, channels)};
}

/// The gate of gpt-oss: min(gate, clamp) * sigmoid(alpha * gate) * (up + 1), both clamped.
at::Tensor clamped_gate(const at::Tensor& gate_up, int64_t width, const ExpertFacts& facts) {
  const auto gates = gate_up.narrow(1, 0, width).to(at::kFloat).clamp_max(facts.clamp);
  const auto ups = gate_up.narrow(1, width, width).to(at::kFloat).clamp(-facts.clamp, facts.clamp);
  const auto gated = gates * at::sigmoid(gates * facts.gate_alpha);
  return ((ups + 1) * gated).to(gate_up.scalar_type());
}

/// Consecutive experts that are taken together, and where the rows of each stand in their buffers.
struct Together {
  Share experts;
  std::vector<int64_t> begin;  // [experts + 1]: rows of the buffers
  at::Tensor row;              // [rows of the buffers] int64: of the gathered rows
};

/// On a CPU the rows of an expert begin where a cache line does: there a product is rounded by how
/// its input is aligned.
int64_t rows_per_line(const at::Tensor& input) {
  return input.is_cpu() ? kAlignment / static_cast<int64_t>(input.element_size()) : 1;
}

/// The gathered rows of some experts, where they stand in their buffers.
at::Tensor spread_rows(const ExpertOrder& order, const Together& some) {
  const auto* from = order.row.const_data_ptr<int64_t>();
  auto spread = at::zeros({some.begin.back()}, order.row.options());
  auto* to = spread.mutable_data_ptr<int64_t>();
  const auto* first = order.first.data() + some.experts.begin;
  for (int64_t i = 0; i < some.experts.size(); ++i) {
    std::copy(from + first[i], from + first[i + 1], to + some.begin[i]);
  }
  return spread;
}

/// The experts from `begin` on whose rows fit buffers of as many rows as were gathered; one at
/// least.
Together take_together(const ExpertRows& rows, int64_t begin, int64_t end) {
  const auto& order = rows.order;
  const int64_t line = rows_per_line(rows.input), most = rows.input.size(0);
  Together some{{begin, begin}, {0}, {}};
  for (; some.experts.end < end; ++some.experts.end) {
    const int64_t count = order.count(some.experts.end, some.experts.end + 1);
    const int64_t next = some.begin.back() + (count + line - 1) / line * line;
    if (next > most && some.experts.size() > 0) break;
    some.begin.push_back(next);
  }
  some.row = line > 1
                 ? spread_rows(order, some)
                 : order.row.narrow(0, order.first[begin], order.count(begin, some.experts.end));
  return some;
}

/// Calls `body` with each expert that has rows: its number, its rows in the buffers, and its first
/// row in the list less that of the first expert.
template <typename Body>
void over_experts(const ExpertOrder& order, const Together& some, const Body& body) {
  for (int64_t i = 0; i < some.experts.size(); ++i) {
    const int64_t number = some.experts.begin + i, count = order.count(number, number + 1);
    if (count == 0) continue;
    body(number, Share{some.begin[i], some.begin[i] + count},
         order.count(some.experts.begin, number));
  }
}

/// gate_up [rows, 2 F] -> hidden [rows, F], which without gates holds it already. ATen rounds the
/// last elements of a tensor on a CPU otherwise than those before them, so that there each expert's
/// are a tensor.
void activate_gates(const Architecture& a, const ExpertOrder& order, const Together& some,
                    const at::Tensor& gate_up, at::Tensor& hidden) {
  const int64_t width = hidden.size(1);
  if (!a.is_gated) return row_ops_of(hidden.device()).activate(hidden, a.activation);
  if (a.experts.clamp == 0) return row_ops_of(hidden.device()).gate(gate_up, a.activation, hidden);
  if (!hidden.is_cpu()) {
    hidden.copy_(clamped_gate(gate_up, width, a.experts));
    return;
  }
  over_experts(order, some, [&](int64_t, Share rows, int64_t) {
    const auto mine = gate_up.narrow(0, rows.begin, rows.size());
    hidden.narrow(0, rows.begin, rows.size()).copy_(clamped_gate(mine, width, a.experts));
  });
}

/// Multiplies what experts read by their weights.
void scale_input(const ExpertOrder& order, const Together& some, at::Tensor& input) {
  const int64_t listed = order.first[some.experts.begin];
  over_experts(order, some, [&](int64_t, Share rows, int64_t at) {
    const auto weight = order.weight.narrow(0, listed + at, rows.size());
    input.narrow(0, rows.begin, rows.size()).mul_(weight.unsqueeze(1));
  });
}

/// What some experts make of their rows, before they are weighted.
struct ExpertBuffers {
  at::Tensor input;   // [rows, C]
  at::Tensor hidden;  // [rows, F]
  at::Tensor output;  // [rows in the list, C]
};

ExpertBuffers run_together(const Architecture& a, const Together& some, const StageWeights& weights,
                           int64_t first_of_stage, const ExpertRows& rows) {
  const auto& order = rows.order;
  const int64_t width = a.experts.ffn_width, count = some.begin.back();
  const int64_t listed = order.count(some.experts.begin, some.experts.end);
  const auto options = rows.input.options();
  ExpertBuffers all = {rows.input.index_select(0, some.row), at::empty({count, width}, options),
                       at::empty({listed, a.channels}, options)};
  const auto run = [&](const auto& step) {
    over_experts(order, some, [&](int64_t number, Share mine, int64_t at) {
      step(expert_of(a, weights, number - first_of_stage), mine, at);
    });
  };
  if (a.experts.scales_input) scale_input(order, some, all.input);
  const auto gate_up = a.is_gated ? at::empty({count, 2 * width}, options) : all.hidden;
  run([&](const Expert& expert, Share mine, int64_t) {
    auto out = gate_up.narrow(0, mine.begin, mine.size());
    const auto in = all.input.narrow(0, mine.begin, mine.size());
    project(in, expert.gate_up, expert.gate_up_bias, out);
  });
  activate_gates(a, order, some, gate_up, all.hidden);
  run([&](const Expert& expert, Share mine, int64_t at) {
    auto out = all.output.narrow(0, at, mine.size());
    const auto in = all.hidden.narrow(0, mine.begin, mine.size());
    project(in, expert.down, expert.down_bias, out);
  });
  return all;
}

}  // namespace

ExpertOrder order_by_expert(const Routing& routing, int64_t experts) {
  const int64_t chosen = routing.expert.size(1);
  const auto options = routing.expert.options();
  const auto [sorted, choice] =
      at::sort(routing.expert.reshape({-1}), /*stable=*/true, 0, /*descending=*/false);
  const auto first = at::searchsorted(sorted, at::arange(experts + 1, options)).cpu();
  const auto place =
      at::empty_like(choice).scatter_(0, choice, at::arange(choice.size(0), options));
  const auto* begin = first.const_data_ptr<int64_t>();
  return {{begin, begin + experts + 1},
          at::floor_divide(choice, chosen),
          routing.weight.reshape({-1}).index_select(0, choice),
          std::get<0>(place.view({-1, chosen}).sort(1))};
}

void add_expert_outputs(const Architecture& a, Share experts, const StageWeights& weights,
                        const LayerView& view, ExpertRows& rows) {
  const bool is_seen = view.observer != nullptr && view.observer->wants_experts();
  const auto& order = rows.order;
  const auto weight = a.experts.scales_input ? at::ones_like(order.weight) : order.weight;
  for (int64_t end = experts.begin; end < experts.end;) {
    const auto some = take_together(rows, end, experts.end);
    const int64_t begin = std::exchange(end, some.experts.end);
    const int64_t listed = order.first[begin], count = order.count(begin, end);
    if (count == 0) continue;
    const auto all = run_together(a, some, weights, experts.begin, rows);
    if (is_seen) {
      std::vector<int64_t> first;
      for (int64_t i = begin; i <= end; ++i) first.push_back(order.count(begin, i));
      view.observer->see_experts({view.layer, begin, first, some.begin,
                                  order.row.narrow(0, listed, count), all.input, all.hidden,
                                  all.output, order.weight.narrow(0, listed, count),
                                  a.experts.scales_input});
    }
    row_ops_of(rows.sum.device())
        .add_weighted(rows.sum, {all.output, listed, weight, order.places_of});
  }
}

}  // namespace actsweep
