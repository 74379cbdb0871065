#include "kernels/selective_scan.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "kernels/cpu_rows.h"

namespace actsweep {
namespace {

constexpr int64_t kLanes = 64;  // channels of a task

/// Some channels of one sequence; states lie by number, then by channel.
struct ScanTask {
  const float *input, *step, *write, *read;  // at the sequence's first row, the task's channels
  const float *rate, *skip;                  // rate [Ds, W]
  float* out;
  int64_t positions, width, states, lanes;
};

/// `state` [Ds, kLanes], zeros at first.
ACTSWEEP_CLONES void scan(const ScanTask& task, float* state) {
  float scaled[kLanes], sum[kLanes];
  for (int64_t t = 0; t < task.positions; ++t) {
    const float *x = task.input + t * task.width, *step = task.step + t * task.width;
#pragma omp simd
    for (int64_t c = 0; c < task.lanes; ++c) {
      scaled[c] = step[c] * x[c];
      sum[c] = task.skip[c] * x[c];
    }
    for (int64_t s = 0; s < task.states; ++s) {
      const float write = task.write[t * task.states + s], read = task.read[t * task.states + s];
      const float* rate = task.rate + s * task.width;
      float* h = state + s * kLanes;
#pragma omp simd
      for (int64_t c = 0; c < task.lanes; ++c) {
        h[c] = cpu::exponential(-rate[c] * step[c]) * h[c] + scaled[c] * write;
        sum[c] += h[c] * read;
      }
    }
    std::copy_n(sum, task.lanes, task.out + t * task.width);
  }
}

at::Tensor scan_on_cpu(const SelectiveRows& rows) {
  const int64_t width = rows.input.size(1), states = rows.write.size(1);
  const int64_t sequences = rows.input.size(0) / rows.positions;
  const int64_t tasks = (width + kLanes - 1) / kLanes;
  const auto rate = rows.rate.t().contiguous();
  auto out = at::empty_like(rows.input);
  const auto from = [](const at::Tensor& x, int64_t offset) {
    return x.const_data_ptr<float>() + offset;
  };
  at::parallel_for(0, sequences * tasks, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> state(states * kLanes);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task / tasks * rows.positions, channel = task % tasks * kLanes;
      const int64_t at = row * width + channel;
      std::fill(state.begin(), state.end(), 0.0f);
      scan({from(rows.input, at), from(rows.step, at), from(rows.write, row * states),
            from(rows.read, row * states), from(rate, channel), from(rows.skip, channel),
            out.mutable_data_ptr<float>() + at, rows.positions, width, states,
            std::min(kLanes, width - channel)},
           state.data());
    }
  });
  return out;
}

}  // namespace

at::Tensor selective_scan(const SelectiveRows& rows) {
  return rows.input.is_cpu() ? scan_on_cpu(rows) : selective_scan_aten(rows);
}

at::Tensor selective_scan_aten(const SelectiveRows& rows) {
  const auto by_sequence = [&](const at::Tensor& x) {
    return x.view({-1, rows.positions, x.size(1)});
  };
  const auto step = by_sequence(rows.step), written = by_sequence(rows.step * rows.input);
  const auto write = by_sequence(rows.write), read = by_sequence(rows.read);
  auto out = rows.input * rows.skip;
  const auto sums = by_sequence(out);
  auto state = at::zeros({step.size(0), step.size(2), write.size(2)}, step.options());
  for (int64_t t = 0; t < rows.positions; ++t) {
    state.mul_((step.select(1, t).unsqueeze(2) * rows.rate).neg_().exp_());
    state.addcmul_(written.select(1, t).unsqueeze(2), write.select(1, t).unsqueeze(1));
    sums.select(1, t).add_(at::bmm(state, read.select(1, t).unsqueeze(2)).squeeze(2));
  }
  return out;
}

}  // namespace actsweep
