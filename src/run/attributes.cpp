#include "run/attributes.h"

#include <torch/headeronly/version.h>

#include <bit>
#include <ctime>
#include <filesystem>
#include <set>
#include <span>

#include "base/version.h"
#include "checkpoint/hub_cache.h"
#include "comm/device.h"
#include "comm/nccl_backend.h"
#include "comm/session.h"
#include "schema/declare_statistics.h"
#include "schema/quarter_octaves.h"

namespace actsweep {
namespace {

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::string text(20, '\0');
  text.resize(std::strftime(text.data(), text.size() + 1, "%Y-%m-%dT%H:%M:%SZ", &parts));
  return text;
}

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

/// The last name of a path, with or without a slash behind it.
std::string last_name(const std::string& path) {
  const auto normal = std::filesystem::path(path).lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
}

/// The job without what changes no number: where files lie, and how memory was used.
Job canonical_job(Job job) {
  const Job defaults;
  job.model.path = last_name(job.model.path);
  for (auto& path : job.corpus.paths) path = last_name(path);
  for (auto* from : {&job.statistics.attention_from, &job.statistics.lifecycle_from}) {
    if (*from) **from = last_name(**from);
  }
  if (auto& classifier = job.statistics.classifier) classifier = last_name(*classifier);
  job.output.path = "sweep.h5";
  job.output.layout = defaults.output.layout;
  job.corpus.shard = defaults.corpus.shard;
  job.parallel.weights = defaults.parallel.weights;
  job.parallel.block_tokens = defaults.parallel.block_tokens;
  job.parallel.across_nodes = defaults.parallel.across_nodes;
  job.parallel.patience_s = defaults.parallel.patience_s;
  for (auto& intervention : job.interventions) {
    if (intervention.from) intervention.from = last_name(*intervention.from);
  }
  return job;
}

/// What the file says where the sweep itself is intervened, and where it has variants.
std::vector<Attribute> intervention_attributes(const Job& job) {
  std::vector<Attribute> attributes;
  std::vector<Job::Intervention> of_sweep;
  for (const auto& intervention : job.interventions) {
    if (!intervention.variant) of_sweep.push_back(intervention);
  }
  const auto variants = job.variants();
  if (!of_sweep.empty()) attributes.push_back({"intervention", to_toml(of_sweep)});
  if (!variants.empty()) attributes.push_back({"variants", nlohmann::json(variants).dump()});
  return attributes;
}

nlohmann::json names_of(const std::vector<NumberFormat>& formats) {
  auto names = nlohmann::json::array();
  for (const auto format : formats) names.push_back(name_of(format));
  return names;
}

template <typename T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::vector<Attribute> segment_attributes(const nlohmann::json& identity,
                                          const std::string& device) {
  return {{"identity", identity.dump()}, {"device", device}};
}

std::vector<Attribute> root_attributes(const SweepInputs& inputs, const SweepLayout& layout,
                                       const nlohmann::json& identity,
                                       const std::vector<FoundSegment>& segments, bool is_mixed) {
  std::set<std::string> devices;
  for (const auto& segment : segments) devices.insert(segment.device);
  const nlohmann::json libraries = {{"LibTorch", TORCH_VERSION},
                                    {"MPI", mpi_library_version()},
                                    {"HDF5", hdf5_version()},
                                    {"NCCL", nccl_version()},
                                    {"CUDA driver", cuda_driver_version()}};
  const auto& a = inputs.checkpoint.architecture();
  const Job job = canonical_job(inputs.job);
  std::vector<Attribute> attributes = {
      {"software_version", kVersion},
      {"git_commit", kGitCommit},
      {"created", utc_now()},
      {"job", to_toml(job)},
      {"identity", identity.dump()},
      {"model_family", a.family},
      {"model_name", a.name},
      {"model_fingerprint", inputs.model_fingerprint},
      {"corpus_kind", name_of(inputs.corpus.kind())},
      {"corpus_fingerprint", inputs.corpus.fingerprint()},
      {"tokenizer_fingerprint", inputs.corpus.tokenizer_fingerprint()},
      {"num_documents", inputs.corpus.documents()},
      {"num_layers", a.layers},
      {"hidden_size", a.channels},
      {"dtype", name_of(inputs.job.model.dtype)},
      {"residual_dtype", name_of(inputs.job.model.residual_dtype)},
      {"model_group_size", layout.members},
      {"threads", layout.threads},
      {"device", fmt::format("{}", fmt::join(devices, "; "))},
      {"mixed_devices", static_cast<int64_t>(is_mixed || devices.size() > 1)},
      {"key_sets", nlohmann::json(inputs.job.statistics.attention).dump()},
      {"formats", names_of(inputs.job.statistics.formats).dump()},
      {"linear_layers", described(inputs.checkpoint.linear_layers(), a).dump()},
      {"libraries", libraries.dump()}};
  if (const auto& tasks = inputs.corpus.tasks(); !tasks.empty()) {
    attributes.push_back({"tasks", nlohmann::json(tasks).dump()});
  }
  if (inputs.checkpoint.classifier()) {
    attributes.push_back({"label_names", inputs.images->label_names()});
  }
  if (inputs.tower) {
    attributes.push_back({"tower_fingerprint", inputs.tower_fingerprint});
    attributes.push_back({"image_token_id", inputs.checkpoint.image_tokens().front()});
  }
  const auto commit = snapshot_of(inputs.checkpoint.directory()).commit;
  if (!commit.empty()) attributes.push_back({"model_revision", commit});
  const auto& quantisation = inputs.checkpoint.quantisation().text();
  if (!quantisation.empty()) attributes.push_back({"quantisation", quantisation});
  for (auto& attribute : intervention_attributes(job)) attributes.push_back(std::move(attribute));
  return attributes;
}

std::map<std::string, std::vector<std::byte>> constant_datasets(const SweepInputs& inputs) {
  std::vector<float> edges(kMagnitudeBins);
  for (uint32_t bin = 0; bin < kMagnitudeBins; ++bin) edges[bin] = std::bit_cast<float>(bin << 16);
  std::vector<float> quarters(kQuarterOctaves);
  for (int64_t bin = 0; bin < kQuarterOctaves; ++bin) quarters[bin] = lower_edge_of(bin);
  return {
      {"vocabulary/bytes", inputs.vocabulary_bytes()},
      {"vocabulary/offset", bytes_of(inputs.vocabulary_offset())},
      {"magnitude_bin", bytes_of(edges)},
      {"store/stored_layer",
       bytes_of(stored_layers(inputs.job.store, inputs.checkpoint.architecture().layers))},
      {"quarter_octave", bytes_of(quarters)},
      {"lifecycle_channel", bytes_of(inputs.job.statistics.lifecycle_channels)},
      {"epsilon", bytes_of(std::vector<double>(kSinkThresholds.begin(), kSinkThresholds.end()))}};
}

}  // namespace actsweep
