// The sweep's windows: how a corpus is cut into sequences.
//
// In: the token file's offsets and the job's policies. Out: the i-th window, by arithmetic.
// `packed`: consecutive windows of T tokens across documents, the tail dropped. `per_document`:
// each document from its start, the last window shorter; one shorter than T and under 2 tokens is
// dropped. With a BOS at each window, T - 1 corpus tokens follow it, at least one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "corpus/corpus.h"
#include "corpus/window.h"
#include "job/job.h"

namespace actsweep {

class WindowPlan {
 public:
  /// Refuses (kCorpus) a corpus too short for one window, and one that carries a BOS where each
  /// window adds one; and (kJob) T = 1 where an id begins each window. `sink_id` is the id of a
  /// model's learned vector before the first token, which then begins each window.
  WindowPlan(const Corpus& corpus, const Job::Corpus& job,
             std::optional<uint32_t> sink_id = std::nullopt);

  /// The id that begins each window, a BOS or a sink; empty where none does.
  std::optional<uint32_t> first_id() const { return first_id_; }

  int64_t windows() const { return windows_; }
  /// Tokens measured in windows 0 ... count - 1.
  int64_t tokens_before(int64_t count) const;
  int64_t tokens() const { return tokens_before(windows_); }
  Window window(int64_t sequence) const;
  /// Whether a window ends between the corpus tokens [begin, end), which are of one document.
  bool cuts(int64_t begin, int64_t end) const;

 private:
  void plan_documents(const Corpus& corpus);

  int64_t sequence_length_;  // T
  std::optional<uint32_t> first_id_;
  bool is_packed_;
  int64_t windows_ = 0;
  // per_document: sums over the documents before each one, and where each begins.
  std::vector<int64_t> windows_before_;
  std::vector<int64_t> tokens_before_;
  std::vector<int64_t> document_offset_;
};

}  // namespace actsweep
