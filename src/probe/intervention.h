// An intervention: activations of the residual stream that are overwritten at a layer's output, or
// of a site inside a layer.
//
// In: the owned rows of one micro-batch with their labels. Out: the rows, changed in place, and how
// many tokens matched and activations were overwritten. Refuses (ErrorKind::kJob) a token for which
// the means have none.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "corpus/window.h"
#include "job/job.h"
#include "job/token_selector.h"
#include "probe/donors.h"
#include "probe/token_matches.h"

namespace actsweep {

class Intervention {
 public:
  struct Counts {
    int64_t tokens = 0;       // matched
    int64_t activations = 0;  // overwritten
  };

  /// `name`: for messages. `layers`: the model's blocks. `means` [layers + 1, token classes or
  /// registers, channels of the site] float32 on the host, NaN where there is none; undefined
  /// without `from`.
  /// `deviations`: of the same shape; for noise alone.
  Intervention(std::string name, const Job::Intervention& wanted, int64_t layers, at::Tensor means,
               at::Tensor deviations = {});

  /// `layer`: as in the file, where inside a block it is the number of the block's output.
  bool applies_at(Site site, int64_t layer) const;
  /// `rows` [labels.row_count(), channels of the site] float32, owned rows, on any device.
  /// `donors`: of a shuffle alone.
  Counts apply(int64_t layer, const OwnedRows& labels, at::Tensor& rows,
               const Donors& donors = {}) const;
  /// Whether it shifts scores, and at this layer.
  bool shifts_scores_at(int64_t layer) const;
  /// `shift` [labels.row_count(), key/value heads] float32, owned rows: adds to what is added to
  /// the scores of all queries on a matched token's key. Activations are keys of heads.
  Counts shift(const OwnedRows& labels, at::Tensor& shift) const;
  /// Whether it keeps routed experts from being chosen, and at this layer.
  bool bars_experts_at(int64_t layer) const;
  /// `is_barred` [labels.row_count(), experts] int64, owned rows: 1 where a matched token may not
  /// choose one of them. Activations are these router logits.
  Counts bar(const OwnedRows& labels, at::Tensor& is_barred) const;
  /// Whether it is on what routed experts give, and at this layer.
  bool silences_experts_at(int64_t layer) const;
  /// `expert` [labels.row_count(), chosen], owned rows: sets `is_silent`, of the same shape and
  /// int64, to 1 where a matched token has chosen one of them. Activations are these choices.
  Counts silence(const OwnedRows& labels, const at::Tensor& expert, at::Tensor& is_silent) const;
  /// Whether it is on a weight, and at this layer.
  bool changes_weight_at(int64_t layer) const;
  /// The row and column of that weight's place, and what stands there for `stored`.
  int64_t row() const { return *wanted_.row; }
  int64_t column() const { return *wanted_.column; }
  double weight_of(double stored) const;
  bool shuffles() const { return wanted_.action == Action::kShuffle; }

 private:
  Counts change(int64_t layer, std::vector<TokenMatch> matches, at::Tensor& rows,
                const Donors& donors) const;
  at::Tensor shuffled(const std::vector<TokenMatch>& matches, const at::Tensor& channels,
                      const Donors& donors) const;
  at::Tensor channels_of(const at::Tensor& rows, const std::vector<TokenMatch>& matches,
                         int64_t layer) const;
  at::Tensor of_matches(const at::Tensor& moments, int64_t layer,
                        const std::vector<TokenMatch>& matches, const at::Tensor& channels) const;
  at::Tensor values_of(int64_t layer, const std::vector<TokenMatch>& matches,
                       const at::Tensor& channels) const;

  bool is_on_experts_at(int64_t layer) const;

  std::string name_;
  Job::Intervention wanted_;
  TokenSelector selector_;
  int64_t layers_;
  at::Tensor means_;
  at::Tensor deviations_;
};

}  // namespace actsweep
