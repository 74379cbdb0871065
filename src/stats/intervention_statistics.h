// The statistics of interventions: what each matched and overwrote, and the loss of each variant.
//
// In: counts, and a variant's negative log-likelihoods as LossStatistics takes the original's. Out:
// the fields of declare_interventions, declare_variant_losses (with the loss) and
// declare_variant_matches, the rows of declare_variant_rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "corpus/window.h"
#include "stats/field_set.h"
#include "stats/row_sink.h"

namespace actsweep {

class InterventionStatistics : public SegmentFields {
 public:
  /// Fields live on `device`.
  InterventionStatistics(const Job& job, at::Device device);

  void begin_segment() override;
  /// `intervention`: its number in the job.
  void add_matches(size_t intervention, int64_t tokens, int64_t activations);
  /// The losses of variants come variant by variant, each with all of a block's micro-batches.
  void add_loss(size_t variant, const OwnedRows& labels, const at::Tensor& token_nll,
                RowSink& sink);
  std::vector<Field> fields() const override;

 private:
  std::vector<int64_t> variant_of_;  // [intervention] or -1
  std::vector<Dataset> rows_;
  FieldSet interventions_;
  FieldSet variants_;
  std::vector<float> real_nll_;  // of the real tokens
};

}  // namespace actsweep
