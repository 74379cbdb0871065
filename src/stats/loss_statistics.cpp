#include "stats/loss_statistics.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/error.h"
#include "stats/declare_statistics.h"

namespace actsweep {

LossStatistics::LossStatistics(const Job& job, at::Device device)
    : rows_(declare_loss_rows(job.output.per_token)), fields_(declare_loss_sums(), {}, device) {}

void LossStatistics::update(const OwnedRows& labels, const at::Tensor& token_nll, RowSink& sink) {
  ensure(token_nll.is_cpu() && token_nll.scalar_type() == at::kFloat && token_nll.is_contiguous() &&
             token_nll.dim() == 1 && token_nll.size(0) == labels.row_count(),
         "the loss is one float32 on the host for every owned row");
  const float* nll = token_nll.const_data_ptr<float>();
  real_nll_.clear();
  double nll_sum = 0, window_mean_sum = 0;
  int64_t targets = 0, windows = 0;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * labels.padded_length;
    double window_sum = 0;
    int64_t window_targets = 0;
    for (int64_t row = first; row < first + labels.windows[i].length(); ++row) {
      real_nll_.push_back(nll[row]);
      if (std::isnan(nll[row])) continue;
      window_sum += nll[row];
      ++window_targets;
    }
    nll_sum += window_sum;
    targets += window_targets;
    if (window_targets == 0) continue;
    window_mean_sum += window_sum / static_cast<double>(window_targets);
    ++windows;
  }
  fields_.values("nll_sum").add_(nll_sum);
  fields_.values("target_count").add_(targets);
  fields_.values("window_mean_sum").add_(window_mean_sum);
  fields_.values("window_count").add_(windows);
  for (const auto& dataset : rows_) sink.append(dataset, bytes_of(real_nll_));
}

}  // namespace actsweep
