#include "run/lifecycle_inputs.h"

#include <algorithm>

#include "run/earlier_sweep.h"

namespace actsweep {
namespace {

constexpr const char* kFromKey = "[statistics] lifecycle_from";

void sort_unique(std::vector<int64_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

std::string resolve_lifecycle_channels(Job& job) {
  auto& channels = job.statistics.lifecycle_channels;
  std::string earlier_fingerprint;
  if (const auto& from = job.statistics.lifecycle_from) {
    const auto file = open_earlier_sweep(kFromKey, *from);
    const auto found = event_column(kFromKey, file, "channel");
    require(!found.empty(), ErrorKind::kJob, "{} = \"{}\": expected events, found none in /massive",
            kFromKey, *from);
    channels.insert(channels.end(), found.begin(), found.end());
    earlier_fingerprint = file.read_text("model_fingerprint");
  }
  sort_unique(channels);
  return earlier_fingerprint;
}

void check_lifecycle(const Job& job, const Architecture& architecture) {
  const auto& statistics = job.statistics;
  const bool has_channels = !statistics.lifecycle_channels.empty();
  require(statistics.lifecycle == (has_channels || statistics.lifecycle_from), ErrorKind::kJob,
          "[statistics] lifecycle goes with lifecycle_channels or lifecycle_from: expected it and "
          "one of them, or none");
  if (!statistics.lifecycle) return;
  require(job.measures(Site::kResidual), ErrorKind::kJob,
          "[statistics] lifecycle = true needs the events of the site \"residual\": expected it in "
          "[statistics] sites");
  const int64_t last = has_channels ? statistics.lifecycle_channels.back() : 0;
  require(last < architecture.channels, ErrorKind::kJob,
          "[statistics] lifecycle_channels: expected channels below {}, found {}",
          architecture.channels, last);
}

void check_lifecycle_model(const Job& job, const std::string& earlier_fingerprint,
                           const std::string& model_fingerprint) {
  require(earlier_fingerprint.empty() || earlier_fingerprint == model_fingerprint, ErrorKind::kJob,
          "{} = \"{}\": expected a sweep of this model, with model_fingerprint {}, found {}",
          kFromKey, job.statistics.lifecycle_from.value_or(""), model_fingerprint,
          earlier_fingerprint);
}

}  // namespace actsweep
