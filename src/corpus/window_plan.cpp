#include "corpus/window_plan.h"

#include <algorithm>

#include "base/error.h"

namespace actsweep {
namespace {

void check_bos(const Corpus& corpus, const Job::Corpus& job) {
  if (job.bos != BosPolicy::kEachWindow) return;
  require(
      corpus.special_tokens() == "none", ErrorKind::kCorpus,
      "{}: [corpus] bos = \"each_window\" would double the BOS: expected a corpus prepared with "
      "--special none, found special_tokens \"{}\"",
      corpus.path(), corpus.special_tokens());
  require(
      corpus.bos_id() >= 0, ErrorKind::kCorpus,
      "{}: [corpus] bos = \"each_window\": expected a tokenizer with a BOS, found none (bos_id -1)",
      corpus.path());
}

}  // namespace

WindowPlan::WindowPlan(const Corpus& corpus, const Job::Corpus& job,
                       std::optional<uint32_t> sink_id)
    : sequence_length_(job.sequence_length),
      first_id_(sink_id),
      is_packed_(job.windows == WindowPolicy::kPacked) {
  check_bos(corpus, job);
  if (job.bos == BosPolicy::kEachWindow) {
    require(!sink_id, ErrorKind::kJob,
            "[corpus] bos = \"each_window\": the model begins each window with its sink token; "
            "expected \"none\"");
    first_id_ = static_cast<uint32_t>(corpus.bos_id());
  }
  require(sequence_length_ > 1 || !first_id_, ErrorKind::kJob,
          "[corpus] sequence_length = 1: expected at least 2 where {} begins each window",
          sink_id ? "a sink token" : "a BOS");
  if (is_packed_) {
    windows_ = corpus.tokens() / (sequence_length_ - (first_id_ ? 1 : 0));
  } else {
    plan_documents(corpus);
  }
  require(windows_ > 0, ErrorKind::kCorpus,
          "{}: expected at least one window of {} tokens, found {} tokens in {} documents",
          corpus.path(), sequence_length_, corpus.tokens(), corpus.documents());
  if (job.max_sequences) windows_ = std::min(windows_, *job.max_sequences);
}

void WindowPlan::plan_documents(const Corpus& corpus) {
  const int64_t text = sequence_length_ - (first_id_ ? 1 : 0), first = first_id_ ? 1 : 0;
  document_offset_ = corpus.document_offset();
  windows_before_ = {0};
  tokens_before_ = {0};
  for (int64_t document = 0; document < corpus.documents(); ++document) {
    const int64_t length = document_offset_[document + 1] - document_offset_[document];
    const int64_t last = length % text;
    const bool keeps_last = last > 0 && last + first >= 2;
    const int64_t whole = length / text;
    windows_before_.push_back(windows_before_.back() + whole + keeps_last);
    tokens_before_.push_back(tokens_before_.back() + whole * sequence_length_ +
                             (keeps_last ? last + first : 0));
  }
  windows_ = windows_before_.back();
}

int64_t WindowPlan::tokens_before(int64_t count) const {
  if (count == 0) return 0;
  if (is_packed_) return count * sequence_length_;
  const auto last = window(count - 1);
  return last.first_token + last.length();
}

bool WindowPlan::cuts(int64_t begin, int64_t end) const {
  const int64_t text = sequence_length_ - (first_id_ ? 1 : 0);
  const int64_t start =
      is_packed_
          ? 0
          : *std::prev(std::upper_bound(document_offset_.begin(), document_offset_.end(), begin));
  return (begin - start) / text != (end - 1 - start) / text;
}

Window WindowPlan::window(int64_t sequence) const {
  ensure(sequence >= 0 && sequence < windows_, "a window's number is below their count");
  const int64_t text = sequence_length_ - (first_id_ ? 1 : 0);
  if (is_packed_) {
    return {sequence, sequence * sequence_length_, sequence * text, text, first_id_.has_value()};
  }
  const auto next = std::upper_bound(windows_before_.begin(), windows_before_.end(), sequence);
  const auto document = next - windows_before_.begin() - 1;
  const int64_t in_document = sequence - windows_before_[document];
  const int64_t begin = document_offset_[document] + in_document * text;
  const int64_t length = std::min(text, document_offset_[document + 1] - begin);
  return {sequence, tokens_before_[document] + in_document * sequence_length_, begin, length,
          first_id_.has_value()};
}

}  // namespace actsweep
