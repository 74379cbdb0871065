#include "run/inputs.h"

#include "base/error.h"
#include "model/tokenizer.h"

namespace actsweep {

SweepInputs::SweepInputs(const Job& wanted)
    : job(wanted),
      corpus(job.corpus.path),
      checkpoint(job.model.path),
      windows(corpus, job.corpus),
      segments(plan_segments(windows, job, job.parallel.tensor)),
      datasets(declare_datasets(job)),
      model_fingerprint(checkpoint.fingerprint()) {
  corpus.check_ids(checkpoint.architecture().vocabulary);
  for (const auto& name : job.capture.prompts) prompts[name] = corpus.prompt(name);
}

std::string SweepInputs::tokenizer_warning() const {
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
