#include "stats/request_scores.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "schema/declare_statistics.h"

namespace actsweep {

std::vector<double> log_likelihoods(const OwnedRows& labels, const at::Tensor& token_nll) {
  ensure(labels.requests.size() == labels.windows.size(), "each window of a task asks something");
  const float* nll = token_nll.const_data_ptr<float>();
  std::vector<double> scores;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto& window = labels.windows[i];
    const float* row = nll + static_cast<int64_t>(i) * labels.padded_length + window.has_first;
    double score = 0;
    for (int64_t p = labels.requests[i].first_scored; p < window.corpus_length; ++p) {
      score -= row[p - 1];
    }
    scores.push_back(score);
  }
  return scores;
}

RequestScores::RequestScores()
    : original_(declare_scores_of_requests()), variant_(declare_variant_scores()) {}

void RequestScores::update(const OwnedRows& labels, const at::Tensor& token_nll, RowSink& sink) {
  sink.append(original_, bytes_of(log_likelihoods(labels, token_nll)));
}

void RequestScores::update_variant(const OwnedRows& labels, const at::Tensor& token_nll,
                                   RowSink& sink) {
  sink.append(variant_, bytes_of(log_likelihoods(labels, token_nll)));
}

}  // namespace actsweep
