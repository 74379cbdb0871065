#include "sample_sweep.h"

#include <fmt/format.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

namespace actsweep {
namespace {

constexpr int64_t kLayers = 4;
constexpr int64_t kChannels = 5;
constexpr int64_t kVocabularySize = 60;
constexpr int64_t kMassiveChannel = 3;
constexpr int64_t kStoredTokens = 2;  // of each window
const std::vector<int64_t> kStoredLayers = {3, 1};

/// A number in 0 ... 96 that differs from dataset to dataset and from place to place.
int64_t scrambled(const std::string& path, const std::vector<int64_t>& index) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  for (const int64_t i : index) hash = (hash ^ static_cast<uint64_t>(i)) * 1099511628211ULL;
  return static_cast<int64_t>((hash >> 20) % 97);
}

int64_t token_id(int64_t token) { return scrambled("id", {token}) % kVocabularySize; }

/// Events: of each window one in layer 1 and one in layer 2.
double event_value(const std::string& path, int64_t event) {
  const int64_t sequence = event / 2;
  const int64_t token = sequence * kSampleWindow;
  const double value = 20000 + static_cast<double>(scrambled("value", {event}));
  if (path == "massive/layer") return static_cast<double>(1 + event % 2);
  if (path == "massive/sequence") return static_cast<double>(sequence);
  if (path == "massive/document") return static_cast<double>(token / kSampleDocument);
  if (path == "massive/token") return static_cast<double>(token);
  if (path == "massive/token_id") return static_cast<double>(token_id(token));
  if (path == "massive/channel") return kMassiveChannel;
  if (path == "massive/value") return value;
  if (path == "massive/ratio_to_sequence_median") return value / 2;
  if (path == "massive/ratio_to_token_median") return value / 4;
  if (path == "massive/reading") return 3;
  return 0;  // position and class
}

double row_value(const std::string& path, const std::vector<int64_t>& index) {
  const int64_t token = index[0];
  if (path == "tokens/id") return static_cast<double>(token_id(token));
  if (path == "tokens/position") return static_cast<double>(token % kSampleWindow);
  if (path == "tokens/sequence") return static_cast<double>(token / kSampleWindow);
  if (path == "tokens/document") return static_cast<double>(token / kSampleDocument);
  if (path == "tokens/class") return token % kSampleWindow == 0 ? 0 : 3;
  if (path == "tokens/row_token") return static_cast<double>(token * kSampleWindow);
  if (path == "store/token") return static_cast<double>(token * kSampleWindow / kStoredTokens);
  if (path == "sequences/length") return kSampleWindow;
  return static_cast<double>(scrambled(path, index)) / 8;
}

double field_value(const std::string& path, const std::vector<int64_t>& index, int64_t tokens) {
  const auto windows = static_cast<double>(tokens / kSampleWindow);
  const bool is_massive =
      !index.empty() && (index[0] == 1 || index[0] == 2) && index.back() == kMassiveChannel;
  if (path == "residual/count") return static_cast<double>(tokens);
  if (path == "residual/nonfinite_tokens") return 0;
  if (path == "massive/events_left_out") return 0;
  if (path == "residual/channel_max_magnitude") return is_massive ? 20096 : 2;
  if (path == "residual/class_count")
    return index[1] == 0 ? windows : index[1] == 3 ? 15 * windows : 0;
  if (path == "residual/class_sum" && index[1] == 0 && is_massive) return 20048 * windows;
  if (path == "residual/class_sum_square" && index[1] == 0 && is_massive) {
    return (20048.0 * 20048 + 784) * windows;
  }
  if (path == "residual/magnitude_histogram") {
    return index[1] == 0x3f80 ? static_cast<double>(tokens * kChannels) : 0;
  }
  return static_cast<double>(scrambled(path, index)) * windows;
}

/// Calls `visit` with each index of the shape, in row-major order.
void for_each_index(const std::vector<hsize_t>& shape,
                    const std::function<void(const std::vector<int64_t>&)>& visit) {
  std::vector<int64_t> index(shape.size(), 0);
  for (int64_t i = 0; i < element_count(shape); ++i) {
    visit(index);
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < static_cast<int64_t>(shape[axis])) break;
      index[axis] = 0;
    }
  }
}

void push(std::vector<std::byte>& bytes, ElementType type, double value) {
  const auto add = [&](auto number) {
    const auto* first = reinterpret_cast<const std::byte*>(&number);
    bytes.insert(bytes.end(), first, first + sizeof number);
  };
  switch (type) {
    case ElementType::kUInt8:
      return add(static_cast<uint8_t>(value));
    case ElementType::kBFloat16:
      return add(static_cast<uint16_t>(value));
    case ElementType::kUInt32:
      return add(static_cast<uint32_t>(value));
    case ElementType::kUInt64:
      return add(static_cast<uint64_t>(value));
    case ElementType::kInt64:
      return add(static_cast<int64_t>(value));
    case ElementType::kFloat32:
      return add(static_cast<float>(value));
    case ElementType::kFloat64:
      return add(value);
  }
}

int64_t per_axis(const SampleSweep& sweep, Axis axis, int64_t tokens) {
  const int64_t windows = tokens / kSampleWindow;
  if (axis == Axis::kToken) return tokens;
  if (axis == Axis::kSequence) return windows;
  if (axis == Axis::kStoredRow) return kStoredTokens * windows;
  if (!sweep.has_events) return 0;
  return axis == Axis::kEvent ? 2 * windows : windows;  // two events, and a row, for each window
}

std::map<std::string, std::vector<std::byte>> sample_constants() {
  std::map<std::string, std::vector<std::byte>> constants;
  for (int64_t bin = 0; bin < kMagnitudeBins; ++bin) {
    const auto bits = static_cast<uint32_t>(bin << 16);
    float edge = 0;
    std::memcpy(&edge, &bits, sizeof edge);
    push(constants["magnitude_bin"], ElementType::kFloat32, edge);
  }
  for (const auto layer : kStoredLayers) {
    push(constants["store/stored_layer"], ElementType::kInt64, static_cast<double>(layer));
  }
  uint64_t end = 0;
  push(constants["vocabulary/offset"], ElementType::kUInt64, 0);
  for (int64_t id = 0; id < kVocabularySize; ++id) {
    const std::string word = id == 7 ? "\n" : fmt::format(" w{}", id);
    for (const char c : word) push(constants["vocabulary/bytes"], ElementType::kUInt8, c);
    end += word.size();
    push(constants["vocabulary/offset"], ElementType::kUInt64, static_cast<double>(end));
  }
  return constants;
}

}  // namespace

Job sample_job(const SampleSweep& sweep) {
  Job job;
  job.model.path = "models/sample";
  job.corpus.paths = {"corpora/sample.h5"};
  job.output.path = "results/sample.h5";
  job.output.per_token = sweep.per_token;
  job.statistics.loss = true;
  job.store = {.sites = {Site::kResidual},
               .layers = kStoredLayers,
               .tokens = "events",
               .dtype = Dtype::kBFloat16};
  job.capture.prompts = {"long", "summer"};
  return job;
}

Extents sample_extents(const SampleSweep& sweep, int64_t tokens) {
  return {{Axis::kLayer, kLayers},
          {Axis::kToken, tokens},
          {Axis::kSequence, per_axis(sweep, Axis::kSequence, tokens)},
          {Axis::kChannel, kChannels},
          {Axis::kOrder, 3},
          {Axis::kMagnitudeBin, kMagnitudeBins},
          {Axis::kClass, kClasses},
          {Axis::kEvent, per_axis(sweep, Axis::kEvent, tokens)},
          {Axis::kRow, per_axis(sweep, Axis::kRow, tokens)},
          {Axis::kStoredRow, per_axis(sweep, Axis::kStoredRow, tokens)},
          {Axis::kStoredLayer, static_cast<int64_t>(kStoredLayers.size())}};
}

int64_t sample_tokens(const SampleSweep& sweep) {
  return std::accumulate(sweep.segment_tokens.begin(), sweep.segment_tokens.end(), int64_t{0});
}

std::vector<std::byte> sample_values(const SampleSweep& sweep, const Dataset& dataset,
                                     int64_t first_token, int64_t tokens) {
  const auto axis = concatenation_axis(dataset);
  std::vector<std::byte> values;
  for_each_index(shape_of(dataset, sample_extents(sweep, tokens)), [&](std::vector<int64_t> index) {
    double value = 0;
    if (!axis) {
      value = field_value(dataset.path, index, tokens);
    } else {
      index[*axis] += per_axis(sweep, dataset.axes[*axis], first_token);
      value = dataset.path.starts_with("massive/") ? event_value(dataset.path, index[0])
                                                   : row_value(dataset.path, index);
    }
    push(values, dataset.type, value);
  });
  return values;
}

std::string write_sample_capture(const SampleSweep& sweep, const std::string& prompt,
                                 int64_t number, int64_t tokens) {
  Extents extents = sample_extents(sweep, 0);
  extents[Axis::kPromptToken] = tokens;
  const auto datasets = capture_datasets(declare_datasets(sample_job(sweep)), prompt);
  SegmentFile part(sweep.folder, {number}, datasets, extents,
                   {{"identity", std::string("{}")}, {"device", std::string("cpu")}});
  for (const auto& dataset : datasets) {
    const std::vector<hsize_t> shape = shape_of(dataset, extents);
    std::vector<std::byte> values;
    for_each_index(shape, [&](const auto& index) {
      push(values, dataset.type, static_cast<double>(scrambled(dataset.path, index) % 50));
    });
    part.write(dataset.path, std::vector<int64_t>(shape.size(), 0), {shape.begin(), shape.end()},
               values.data());
  }
  part.finish({});
  part.commit();
  return part.path();
}

Assembly sample_assembly(const SampleSweep& sweep, const std::vector<std::string>& parts,
                         const std::string& target) {
  const int64_t tokens = sample_tokens(sweep);
  const Job job = sample_job(sweep);
  Assembly assembly;
  assembly.target = target;
  assembly.parts = parts;
  assembly.datasets = declare_datasets(job);
  assembly.extents = sample_extents(sweep, tokens);
  assembly.constants = sample_constants();
  assembly.extents[Axis::kVocabularyOffset] = kVocabularySize + 1;
  assembly.extents[Axis::kVocabularyByte] =
      static_cast<int64_t>(assembly.constants["vocabulary/bytes"].size());
  nlohmann::json identity = identity_of(job);
  identity["corpus.fingerprint"] = sweep.corpus_fingerprint;
  assembly.attributes = {{"job", to_toml(job)},
                         {"identity", identity.dump()},
                         {"created", std::string("2026-01-01T00:00:00Z")},
                         {"model_name", std::string("sample")},
                         {"model_family", std::string("llama")},
                         {"model_fingerprint", std::string("m0")},
                         {"corpus_fingerprint", sweep.corpus_fingerprint},
                         {"num_layers", kLayers - 1},
                         {"hidden_size", kChannels},
                         {"num_documents", (tokens + kSampleDocument - 1) / kSampleDocument},
                         {"dtype", std::string("float32")},
                         {"residual_dtype", std::string("float32")},
                         {"model_group_size", int64_t{1}},
                         {"threads", int64_t{1}},
                         {"device", std::string("cpu")},
                         {"mixed_devices", int64_t{0}}};
  assembly.derive = [job](const MergedFields& fields) {
    return derive(job, fields, [](int64_t, int64_t, int64_t) { return 0.0f; });
  };
  return assembly;
}

}  // namespace actsweep
