// The experts of each token, as rows.
//
// In: what the router of a layer gave for the gathered rows, or that the layer has none. Out: the
// rows of declare_token_experts.
#pragma once

#include <cstdint>
#include <vector>

#include "corpus/window.h"
#include "model/router.h"
#include "stats/row_sink.h"

namespace actsweep {

class TokenExperts {
 public:
  /// `member`: this rank's number in the model group. `chosen`: experts of a token.
  TokenExperts(PerToken per_token, int64_t member, int64_t chosen);

  /// `routing` of the gathered rows, in rank order of their owners; without tensors for a layer
  /// without experts, and for the embedding.
  void update(const Routing& routing, const OwnedRows& own, RowSink& sink) const;

 private:
  std::vector<Dataset> datasets_;
  int64_t member_;
  int64_t chosen_;
};

}  // namespace actsweep
