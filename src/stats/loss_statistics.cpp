#include "stats/loss_statistics.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/error.h"
#include "schema/declare_statistics.h"

namespace actsweep {

LossSums sum_losses(const OwnedRows& labels, const at::Tensor& token_nll,
                    std::vector<float>& real_nll) {
  ensure(token_nll.is_cpu() && token_nll.scalar_type() == at::kFloat && token_nll.is_contiguous() &&
             token_nll.dim() == 1 && token_nll.size(0) == labels.row_count(),
         "the loss is one float32 on the host for every owned row");
  const float* nll = token_nll.const_data_ptr<float>();
  real_nll.clear();
  LossSums sums;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * labels.padded_length;
    double window_sum = 0;
    int64_t window_targets = 0;
    for (int64_t row = first; row < first + labels.windows[i].length(); ++row) {
      real_nll.push_back(nll[row]);
      if (std::isnan(nll[row])) continue;
      window_sum += nll[row];
      ++window_targets;
    }
    sums.nll_sum += window_sum;
    sums.target_count += window_targets;
    if (window_targets == 0) continue;
    sums.window_mean_sum += window_sum / static_cast<double>(window_targets);
    ++sums.window_count;
  }
  return sums;
}

LossStatistics::LossStatistics(const Job& job, at::Device device)
    : rows_(declare_loss_rows(job.output.per_token)), fields_(declare_loss_sums(), {}, device) {}

void LossStatistics::update(const OwnedRows& labels, const at::Tensor& token_nll, RowSink& sink) {
  const LossSums sums = sum_losses(labels, token_nll, real_nll_);
  fields_.values("nll_sum").add_(sums.nll_sum);
  fields_.values("target_count").add_(sums.target_count);
  fields_.values("window_mean_sum").add_(sums.window_mean_sum);
  fields_.values("window_count").add_(sums.window_count);
  for (const auto& dataset : rows_) sink.append(dataset, bytes_of(real_nll_));
}

}  // namespace actsweep
