#include "run/requests.h"

#include <algorithm>

#include "base/error.h"

namespace actsweep {

void check_requests(const SweepInputs& inputs) {
  const auto& offset = inputs.corpus.document_offset();
  int64_t longest = 0;
  for (size_t i = 1; i < offset.size(); ++i) longest = std::max(longest, offset[i] - offset[i - 1]);
  const auto& windows = inputs.windows;
  const int64_t needed = longest + (windows.first_id() ? 1 : 0);
  const auto& job = inputs.job.corpus;
  require(
      job.windows == WindowPolicy::kPerDocument && job.sequence_length >= needed, ErrorKind::kJob,
      "{}: its documents are scored whole: expected [corpus] windows = \"per_document\" and "
      "sequence_length = {} at least, found \"{}\" and {}",
      inputs.corpus.path(), needed,
      job.windows == WindowPolicy::kPerDocument ? "per_document" : "packed", job.sequence_length);
}

}  // namespace actsweep
