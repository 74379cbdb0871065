#include "model/state_heads.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "kernels/gated_states.h"
#include "kernels/product.h"
#include "kernels/short_convolution.h"
#include "kernels/state_space.h"

namespace actsweep {
namespace {

/// Whether a norm is of heads that two ranks have.
bool norms_across(const StateFacts& facts, int64_t members) {
  if (facts.norm == GroupNorm::kNone) return false;
  for (int64_t member = 1; member < members; ++member) {
    if (cut_evenly(facts.heads, members, member).begin % facts.heads_per_group() != 0) return true;
  }
  return false;
}

}  // namespace

StateHeads::StateHeads(const Architecture& architecture, const ModelShare& share,
                       const Group& group, at::Device device)
    : a_(architecture),
      s_(architecture.states),
      share_(share),
      group_(group),
      heads_(share.state_heads.size()),
      channels_(heads_ * s_.head_width),
      shared_(share.state_groups.size() * s_.state_width),
      norms_across_ranks_(norms_across(s_, group.size())),
      ops_(row_ops_of(device)) {}

int64_t StateHeads::wide_width() const { return state_projection_width(s_, share_); }

void StateHeads::project_in(const StageWeights& weights, MixerRows& rows) const {
  project(scaled(rows.in, s_.input_scale), weights[Weight::kMixerIn], weights[Weight::kMixerInBias],
          rows.wide);
  const int64_t widths[] = {channels_, channels_, shared_, shared_, heads_};
  int64_t first = 0;
  for (size_t part = 0; part < std::size(widths); ++part) {
    const double scale = s_.projected_scales[part];
    if (scale != 1) rows.wide.narrow(1, first, widths[part]).mul_(scale);
    first += widths[part];
  }
}

/// What the heads read of their states, [n, channels] float32.
at::Tensor StateHeads::scan(const StageWeights& weights, const Sequences& sequences,
                            const at::Tensor& wide) const {
  const int64_t positions = sequences.positions, convolved_width = channels_ + 2 * shared_;
  auto convolved =
      convolve_causally(wide.narrow(1, channels_, convolved_width), weights[Weight::kConvolution],
                        weights[Weight::kConvolutionBias], positions);
  ops_.activate(convolved, s_.activation);
  const auto steps = wide.narrow(1, channels_ + convolved_width, heads_).to(at::kFloat);
  const auto step =
      at::softplus(steps + weights[Weight::kStepBias]).clamp_(s_.least_step, s_.most_step);
  const auto rate = weights[Weight::kDecay].exp();
  // `count` units of `width` channels: [B, T, count, width].
  const auto units = [&](int64_t first, int64_t count, int64_t width) {
    return convolved.narrow(1, first, count * width).view({-1, positions, count, width});
  };
  std::vector<at::Tensor> parts;
  for (const auto& run : share_.state_runs) {
    const int64_t head = run.query_begin, heads = run.queries;
    const int64_t group = channels_ + run.key_begin * s_.state_width;
    parts.push_back(
        state_space({units(head * s_.head_width, heads, s_.head_width),
                     units(group, run.keys, s_.state_width),
                     units(group + shared_, run.keys, s_.state_width),
                     step.narrow(1, head, heads).view({-1, positions, heads}),
                     rate.narrow(0, head, heads), weights[Weight::kSkip].narrow(0, head, heads)})
            .view({wide.size(0), -1}));
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, 1);
}

void StateHeads::gate(const at::Tensor& wide, at::Tensor& out) const {
  out.mul_(at::silu(wide.narrow(1, 0, channels_).to(at::kFloat)));
}

/// Each group's channels, all of which the rank has.
void StateHeads::normalise(const StageWeights& weights, at::Tensor& out) const {
  const HeadRange groups = {0, share_.state_groups.size(), s_.heads_per_group() * s_.head_width};
  ops_.normalise_heads(out, groups,
                       {NormKind::kRms, weights[Weight::kMixerNorm], {}, a_.norm.epsilon, 0});
}

/// The same where neighbours have other channels of a group.
void StateHeads::normalise_across(const StageWeights& weights, at::Tensor& out) const {
  const int64_t of_group = s_.heads_per_group();
  const auto part = [&](int64_t group) {
    const int64_t begin = std::max(group * of_group, share_.state_heads.begin);
    const int64_t end = std::min((group + 1) * of_group, share_.state_heads.end);
    return out.narrow(1, (begin - share_.state_heads.begin) * s_.head_width,
                      (end - begin) * s_.head_width);
  };
  auto squares = at::zeros({out.size(0), s_.groups}, out.options());
  const auto mine = share_.state_groups;
  for (int64_t group = mine.begin; group < mine.end; ++group) {
    squares.select(1, group).copy_(part(group).square().sum(1));
  }
  group_.all_reduce(squares, Reduction::kSum);
  const auto channels = static_cast<double>(of_group * s_.head_width);
  const auto scale = squares.div_(channels).add_(a_.norm.epsilon).rsqrt_();
  for (int64_t group = mine.begin; group < mine.end; ++group) {
    part(group).mul_(scale.narrow(1, group, 1));
  }
  if (heads_ > 0) out.mul_(weights[Weight::kMixerNorm]);
}

void StateHeads::run(const StageWeights& weights, const LayerView&, const Sequences& sequences,
                     MixerRows& rows) {
  if (heads_ == 0 && !norms_across_ranks_) return;
  auto out = at::empty({rows.in.size(0), 0}, rows.in.options().dtype(at::kFloat));
  const bool gates_first = s_.norm != GroupNorm::kBeforeGate;
  if (heads_ > 0) {
    project_in(weights, rows);
    out = scan(weights, sequences, rows.wide);
  }
  if (gates_first && heads_ > 0) gate(rows.wide, out);
  if (s_.norm != GroupNorm::kNone) {
    norms_across_ranks_ ? normalise_across(weights, out) : normalise(weights, out);
  }
  if (!gates_first && heads_ > 0) gate(rows.wide, out);
  rows.out.copy_(out);
}

int64_t state_projection_width(const StateFacts& facts, const ModelShare& share) {
  const int64_t heads = share.state_heads.size();
  return heads * (2 * facts.head_width + 1) + 2 * share.state_groups.size() * facts.state_width;
}

int64_t state_bytes(const Architecture& architecture, const ModelShare& share, int64_t rows,
                    int64_t positions) {
  const auto& s = architecture.states;
  const int64_t heads = share.state_heads.size(), groups = share.state_groups.size();
  if (heads == 0) return 0;
  // In float32 what is convolved, before and behind; what is written, gates, squares.
  const int64_t channels = heads * s.head_width;
  const int64_t convolved = channels + 2 * groups * s.state_width;
  return 4 * rows * (2 * convolved + 4 * channels) +
         gated_state_bytes(rows, positions, {groups, heads, s.state_width, s.head_width});
}

}  // namespace actsweep
