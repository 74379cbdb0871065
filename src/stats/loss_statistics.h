// The statistics of the loss: its rows per token and the raw sums behind the perplexities.
//
// In: the negative log-likelihood of each owned row's next token in nats, NaN where a row has no
// target. Out: the rows of declare_loss_rows and the fields of declare_loss_sums. Padding rows are
// not read.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "corpus/window.h"
#include "stats/field_set.h"
#include "stats/row_sink.h"

namespace actsweep {

/// What the targets of one micro-batch's owned windows add to the sums.
struct LossSums {
  double nll_sum = 0;
  int64_t target_count = 0;
  double window_mean_sum = 0;  // of windows with a target
  int64_t window_count = 0;
};

/// `token_nll` [labels.row_count()] float32 on the host, contiguous. `real_nll` becomes that of the
/// real tokens.
LossSums sum_losses(const OwnedRows& labels, const at::Tensor& token_nll,
                    std::vector<float>& real_nll);

/// Adds them to the fields of declare_loss_sums; to those of declare_variant_losses at `variant`.
void add_losses(const LossSums& sums, const FieldSet& fields,
                std::optional<int64_t> variant = std::nullopt);

class LossStatistics : public SegmentFields {
 public:
  /// Fields live on `device`.
  LossStatistics(const Job& job, at::Device device);

  void begin_segment() override { fields_.clear(); }
  /// `token_nll` as of sum_losses.
  void update(const OwnedRows& labels, const at::Tensor& token_nll, RowSink& sink);
  std::vector<Field> fields() const override { return fields_.fields(); }

 private:
  std::vector<Dataset> rows_;  // empty where the job keeps no rows per token
  FieldSet fields_;
  std::vector<float> real_nll_;  // of the real tokens
};

}  // namespace actsweep
