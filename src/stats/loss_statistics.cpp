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

void add_losses(const LossSums& sums, const FieldSet& fields, std::optional<int64_t> variant) {
  const auto add = [&](const char* name, auto sum) {
    const auto values = fields.values(name);
    (variant ? values.select(0, *variant) : values).add_(sum);
  };
  add("nll_sum", sums.nll_sum);
  add("target_count", sums.target_count);
  add("window_mean_sum", sums.window_mean_sum);
  add("window_count", sums.window_count);
}

LossStatistics::LossStatistics(const Job& job, at::Device device)
    : rows_(declare_loss_rows(job.output.per_token)), fields_(declare_loss_sums(), {}, device) {}

void LossStatistics::update(const OwnedRows& labels, const at::Tensor& token_nll, RowSink& sink) {
  add_losses(sum_losses(labels, token_nll, real_nll_), fields_);
  for (const auto& dataset : rows_) sink.append(dataset, bytes_of(real_nll_));
}

}  // namespace actsweep
