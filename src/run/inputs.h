// What a sweep reads: job, corpus, checkpoint - opened, proven to fit each other, and what follows
// from them. Weights are not read; their fingerprint is set later (shared_fingerprint).
//
// Refuses (kCorpus, kModel) what does not fit; a tokenizer that differs from the checkpoint's is a
// warning, since ids within the model's vocabulary can be swept.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "corpus/image_file.h"
#include "corpus/segments.h"
#include "corpus/window_plan.h"
#include "job/job.h"
#include "plan/demand.h"
#include "run/earlier_sweep.h"
#include "run/intervention_inputs.h"

namespace actsweep {

/// The job with what images settle: each window is one image.
Job with_image_windows(Job job, int64_t tokens_per_image);
/// What a job reads of its model.
inline Reading reading_of(const Job& job) {
  return job.model.vision ? Reading::kImages : Reading::kText;
}
/// Learned positions have an end: refuses (kModel) longer windows and prompts.
void check_positions(const Architecture& architecture, int64_t longest, const std::string& model);

/// What of a corpus and a model decides about the datasets.
InputFacts input_facts(CorpusKind corpus, const Architecture& architecture);

struct SweepInputs {
  explicit SweepInputs(const Job& job);
  SweepInputs(const SweepInputs&) = delete;
  SweepInputs& operator=(const SweepInputs&) = delete;

  Job job;  // its sequence_length is that of an image where the corpus has images
  Checkpoint checkpoint;
  std::shared_ptr<const Corpus> opened_corpus;
  const Corpus& corpus;
  std::shared_ptr<const ImageFile> images;  // null where the corpus is text
  std::unique_ptr<const Checkpoint> tower;  // null where no image stands in the corpus' text
  WindowPlan windows;
  SegmentPlan segments;
  std::vector<Dataset> datasets;
  std::map<std::string, Prompt> prompts;              // those to capture, by name
  std::string model_fingerprint;                      // empty until it is set
  std::string tower_fingerprint;                      // the same; empty without a tower
  std::string classifier_fingerprint;                 // the same; empty without one
  std::vector<InterventionMeans> intervention_means;  // one an intervention of the job
  EarlierEvents earlier_events;                       // of [statistics] attention_from
  std::string lifecycle_model;  // the fingerprint of that of lifecycle_from; empty without it

  /// Refuses (kJob) the sweeps that interventions read where they are of another model.
  void set_model_fingerprint(const std::string& fingerprint);
  /// The bytes of each id, end to end, and where they begin: the corpus' vocabulary, and behind it
  /// the model's sink token where it has one.
  std::vector<std::byte> vocabulary_bytes() const;
  std::vector<uint64_t> vocabulary_offset() const;
  /// What is odd and still swept, one line each: tensors that are left out, tokens of another
  /// tokenizer than the checkpoint's, a BOS that stands twice, pixels that fill no patch.
  std::vector<std::string> warnings() const;
  /// What the tower makes of one image.
  int64_t tower_tokens() const;
  /// Images of one rank's micro-batch that pass the tower at a time.
  int64_t images_together() const;
  /// What `plan` reckons with.
  SweepFacts facts() const;
  /// Every key and fingerprint that can change a number in the file, with the threads that the
  /// sweep computes with; none on a GPU.
  nlohmann::json identity(std::optional<int64_t> threads) const;

 private:
  void check_lengths() const;
  std::optional<TowerFacts> tower_facts() const;
};

/// An identity of a sweep on so many threads, whatever the job says; without them where no number
/// depends on threads.
void set_threads(std::optional<int64_t> threads, nlohmann::json& identity);

}  // namespace actsweep
