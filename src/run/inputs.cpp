#include "run/inputs.h"

#include <algorithm>

#include "base/error.h"
#include "corpus/token_file.h"
#include "model/tokenizer.h"

namespace actsweep {

namespace {

PatchLayout patch_layout(const ImageFacts& facts) {
  return {facts.patch, facts.has_class_token, facts.registers};
}

/// Opens the corpus as the model reads it.
std::shared_ptr<const Corpus> open_corpus(const std::string& path, const Checkpoint& checkpoint) {
  const auto& a = checkpoint.architecture();
  const auto kind = kind_of_corpus(path);
  require(a.reads_images() == (kind == CorpusKind::kImages), ErrorKind::kCorpus,
          "{}: {} of type \"{}\" reads {}: expected {}, found a corpus of {}", path,
          checkpoint.directory(), a.family, a.reads_images() ? "images" : "text",
          a.reads_images() ? "an image file of data/prepare_images.py"
                           : "a token file of data/prepare_corpus.py",
          name_of(kind));
  if (kind == CorpusKind::kImages) {
    return std::make_shared<const ImageFile>(path, patch_layout(a.image));
  }
  auto tokens = std::make_shared<const TokenFile>(path);
  tokens->check_ids(a.vocabulary);
  return tokens;
}

/// The job with what an image corpus settles: each window is one image.
Job with_image_windows(Job job, const ImageFile* images) {
  if (images == nullptr) return job;
  require(job.corpus.bos == BosPolicy::kNone, ErrorKind::kJob,
          "[corpus] bos = \"each_window\": images have no BOS; expected \"none\"");
  require(!job.statistics.loss, ErrorKind::kJob,
          "[statistics] loss = true: a model of images predicts no next token; expected false");
  job.corpus.sequence_length = images->tokens_per_image();
  job.corpus.windows = WindowPolicy::kPacked;
  return job;
}

}  // namespace

SweepInputs::SweepInputs(const Job& wanted)
    : job(wanted),
      checkpoint(job.model.path),
      opened_corpus(open_corpus(job.corpus.path, checkpoint)),
      corpus(*opened_corpus),
      images(std::dynamic_pointer_cast<const ImageFile>(opened_corpus)),
      windows(corpus, (job = with_image_windows(job, images.get())).corpus),
      segments(plan_segments(windows, job, job.parallel.tensor)),
      datasets(declare_datasets(job, corpus.kind())),
      model_fingerprint(checkpoint.fingerprint()) {
  for (const auto& name : job.capture.prompts) prompts[name] = corpus.prompt(name);
  check_lengths();
}

/// Learned positions have an end.
void SweepInputs::check_lengths() const {
  const auto& a = checkpoint.architecture();
  if (a.position_rows == 0 || a.reads_images()) return;
  int64_t longest = job.corpus.sequence_length;
  for (const auto& [name, prompt] : prompts) {
    longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
  }
  require(
      longest + a.position_offset <= a.position_rows, ErrorKind::kModel,
      "{}: the model has learned positions up to {}: expected windows and prompts of at most as "
      "many tokens, found {}",
      checkpoint.directory(), a.position_rows - a.position_offset, longest);
}

std::string SweepInputs::tokenizer_warning() const {
  if (images != nullptr) return "";
  const auto expected = tokenizer_fingerprint(checkpoint.directory());
  if (!expected || *expected == corpus.tokenizer_fingerprint()) return "";
  return fmt::format(
      "{}: made with another tokenizer than {}'s: expected tokenizer_fingerprint {}, found {}",
      corpus.path(), checkpoint.directory(), *expected, corpus.tokenizer_fingerprint());
}

SweepFacts SweepInputs::facts() const {
  return {job,      checkpoint.architecture(), checkpoint.rows(),
          datasets, windows.tokens(),          windows.windows(),
          segments};
}

nlohmann::json SweepInputs::identity(int64_t threads) const {
  auto identity = identity_of(job);
  identity["parallel.threads"] = threads;
  identity["model.fingerprint"] = model_fingerprint;
  identity["corpus.fingerprint"] = corpus.fingerprint();
  identity["tokenizer.fingerprint"] = corpus.tokenizer_fingerprint();
  identity["corpus.windows_per_segment"] = segments.windows_per_segment;
  identity["corpus.windows_per_microbatch"] = segments.windows_per_microbatch;
  return identity;
}

}  // namespace actsweep
