#include "stats/image_scores.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.h"
#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

/// Whether class `one` stands before class `other`; one whose logit is not a number before none.
bool stands_before(std::span<const float> logits, size_t one, size_t other) {
  if (std::isnan(logits[one])) return false;
  if (std::isnan(logits[other]) || logits[one] > logits[other]) return true;
  return logits[one] == logits[other] && one < other;
}

uint32_t first_class(std::span<const float> logits) {
  size_t best = 0;
  for (size_t each = 1; each < logits.size(); ++each) {
    if (stands_before(logits, each, best)) best = each;
  }
  return std::isnan(logits[best]) ? UINT32_MAX : static_cast<uint32_t>(best);
}

uint32_t rank_of(std::span<const float> logits, size_t label) {
  if (std::isnan(logits[label])) return static_cast<uint32_t>(logits.size()) - 1;
  uint32_t rank = 0;
  for (size_t each = 0; each < logits.size(); ++each) rank += stands_before(logits, each, label);
  return rank;
}

double log_softmax(std::span<const float> logits, size_t label) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return logits[label] - largest - std::log(sum);
}

}  // namespace

ImageAnswers answers_of(const at::Tensor& logits, std::vector<uint32_t> label) {
  const auto classes = static_cast<size_t>(logits.size(1));
  ensure(logits.is_cpu() && logits.scalar_type() == at::kFloat && logits.is_contiguous() &&
             logits.size(0) == static_cast<int64_t>(label.size()),
         "logits are float32 on the host, a row for each image");
  ImageAnswers answers;
  for (size_t i = 0; i < label.size(); ++i) {
    ensure(label[i] < classes, "a label is one of the classes");
    const std::span row(logits.const_data_ptr<float>() + i * classes, classes);
    answers.predicted.push_back(first_class(row));
    answers.label_rank.push_back(rank_of(row, label[i]));
    answers.label_log_likelihood.push_back(log_softmax(row, label[i]));
  }
  answers.label = std::move(label);
  return answers;
}

ImageScores::ImageScores(const std::vector<uint32_t>& labels)
    : labels_(labels),
      original_(declare_classification()),
      variant_(declare_variant_classification()) {}

ImageAnswers ImageScores::answers(const OwnedRows& own, const at::Tensor& logits) const {
  std::vector<uint32_t> label;
  for (size_t i = 0; i < own.windows.size(); ++i) {
    label.push_back(labels_.at(own.document[i * own.padded_length]));
  }
  return answers_of(logits, std::move(label));
}

void ImageScores::update(const OwnedRows& own, const at::Tensor& logits, RowSink& sink) const {
  const auto found = answers(own, logits);
  sink.append(original_[0], bytes_of(found.label));
  sink.append(original_[1], bytes_of(found.predicted));
  sink.append(original_[2], bytes_of(found.label_rank));
  sink.append(original_[3], bytes_of(found.label_log_likelihood));
}

void ImageScores::update_variant(const OwnedRows& own, const at::Tensor& logits,
                                 RowSink& sink) const {
  const auto found = answers(own, logits);
  sink.append(variant_[0], bytes_of(found.predicted));
  sink.append(variant_[1], bytes_of(found.label_rank));
  sink.append(variant_[2], bytes_of(found.label_log_likelihood));
}

}  // namespace actsweep
