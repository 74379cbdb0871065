#include "output/merge.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "job/job.h"
#include "job/keys.h"
#include "output/consolidate.h"
#include "output/linked_rows.h"
#include "output/output_place.h"
#include "output/run_lock.h"
#include "output/sweep_file.h"

namespace actsweep {
namespace {

/// What of one file decides whether it can be merged.
struct Source {
  std::string path;
  std::string model_fingerprint;
  std::vector<std::string> corpora;  // fingerprints; several for a file that was merged before
  nlohmann::json identity;
  std::vector<Dataset> datasets;
  Extents extents;
  std::map<std::string, std::vector<std::byte>> constants;
  std::map<std::string, AttributeValue> attributes;
};

nlohmann::json parse_json(const std::string& path, const std::string& what,
                          const std::string& text) {
  auto json = nlohmann::json::parse(text, nullptr, false);
  require(!json.is_discarded(), ErrorKind::kOutput, "{}: root attribute '{}' is not JSON", path,
          what);
  return json;
}

std::map<std::string, std::vector<std::byte>> read_constants(const H5File& file,
                                                             const std::vector<Dataset>& datasets) {
  std::map<std::string, std::vector<std::byte>> constants;
  for (const auto& dataset : datasets) {
    if (dataset.merge != Merge::kConstant || dataset.path.starts_with("capture/")) continue;
    const H5Dataset source = file.dataset(dataset.path);
    auto& values = constants[dataset.path];
    values.resize(static_cast<size_t>(byte_count(dataset, source.shape())));
    source.read_all(memory_type(dataset.type), values.data());
  }
  return constants;
}

Source read_source(const std::string& path) {
  const H5File file = open_sweep(path);
  Source source{.path = path,
                .model_fingerprint = file.read_text("model_fingerprint"),
                .corpora = {file.read_text("corpus_fingerprint")},
                .identity = parse_json(path, "identity", file.read_text("identity")),
                .datasets = datasets_of(file),
                .extents = extents_of(file),
                .constants = {},
                .attributes = {}};
  if (file.has_attribute("merged_corpora")) {
    source.corpora = parse_json(path, "merged_corpora", file.read_text("merged_corpora"))
                         .get<std::vector<std::string>>();
  }
  source.constants = read_constants(file, source.datasets);
  for (const auto& name : file.attribute_names()) {
    source.attributes[name] = file.read_attribute(name);
  }
  return source;
}

/// The identity without what differs between corpora: which one, how much of it, in what segments.
nlohmann::json without_corpus(const nlohmann::json& identity) {
  nlohmann::json rest = nlohmann::json::object();
  for (const auto& [key, value] : identity.items()) {
    const bool is_of_corpus =
        key.find("corpus") != std::string::npos && key.find("fingerprint") != std::string::npos;
    if (is_of_corpus || key == "corpus.max_sequences" || key == "output.segment_tokens") continue;
    rest[key] = value;
  }
  return rest;
}

std::vector<std::string> paths_of(const std::vector<Dataset>& datasets) {
  std::vector<std::string> paths;
  for (const auto& dataset : datasets) paths.push_back(dataset.path);
  return paths;
}

void check_pair(const Source& first, const Source& other) {
  require(first.model_fingerprint == other.model_fingerprint, ErrorKind::kOutput,
          "{}: cannot be merged with {}: its model_fingerprint is {}, not {}", other.path,
          first.path, other.model_fingerprint, first.model_fingerprint);
  const auto differing =
      differing_keys(without_corpus(first.identity), without_corpus(other.identity));
  require(differing.empty(), ErrorKind::kOutput,
          "{}: cannot be merged with {}: the jobs differ:\n{}", other.path, first.path,
          fmt::join(differing, "\n"));
  require(paths_of(first.datasets) == paths_of(other.datasets), ErrorKind::kOutput,
          "{}: cannot be merged with {}: they hold different datasets", other.path, first.path);
  for (const auto& [path, values] : first.constants) {
    require(values == other.constants.at(path), ErrorKind::kOutput,
            "{}: cannot be merged with {}: /{} differs", other.path, first.path, path);
  }
  for (const auto& corpus : other.corpora) {
    const bool is_shared =
        std::find(first.corpora.begin(), first.corpora.end(), corpus) != first.corpora.end();
    require(!is_shared, ErrorKind::kOutput,
            "{}: cannot be merged with {}: both hold windows of the corpus with the fingerprint "
            "{}, which would count twice",
            other.path, first.path, corpus);
  }
}

Extents summed_extents(const std::vector<Source>& sources) {
  Extents extents = sources.front().extents;
  for (const Axis axis : {Axis::kToken, Axis::kSequence}) {
    extents[axis] = 0;
    for (const auto& source : sources) extents[axis] += source.extents.at(axis);
  }
  return extents;
}

int64_t whole_number(const Source& source, const std::string& name) {
  const auto found = source.attributes.find(name);
  const bool is_there =
      found != source.attributes.end() && std::holds_alternative<int64_t>(found->second);
  require(is_there, ErrorKind::kOutput, "{}: lacks the root attribute '{}', a whole number",
          source.path, name);
  return std::get<int64_t>(found->second);
}

/// The first file's attributes, with those that speak of the corpus or of this run made anew.
std::vector<Attribute> merged_attributes(const std::vector<Source>& sources) {
  std::map<std::string, AttributeValue> merged = sources.front().attributes;
  std::erase_if(merged, [](const auto& attribute) { return is_of_file_itself(attribute.first); });
  std::vector<std::string> corpora, files;
  int64_t documents = 0, mixed_devices = 0;
  Sha256 fingerprint;
  for (const auto& source : sources) {
    documents += whole_number(source, "num_documents");
    const bool is_same_device =
        source.attributes.contains("device") && source.attributes.at("device") == merged["device"];
    mixed_devices |= whole_number(source, "mixed_devices") | (is_same_device ? 0 : 1);
    files.push_back(std::filesystem::path(source.path).filename());
    for (const auto& corpus : source.corpora) {
      corpora.push_back(corpus);
      fingerprint.add(corpus);
    }
  }
  merged["num_documents"] = documents;
  merged["mixed_devices"] = mixed_devices;
  merged["corpus_fingerprint"] = fingerprint.hex();
  merged["merged_corpora"] = nlohmann::json(corpora).dump();
  merged["merged_files"] = nlohmann::json(files).dump();
  merged["identity"] = without_corpus(sources.front().identity).dump();
  merged["created"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  std::vector<Attribute> attributes;
  for (auto& [name, value] : merged) attributes.push_back({name, value});
  return attributes;
}

/// The job as far as its identity tells: all that a number in the file depends on.
Job job_of(const nlohmann::json& identity) {
  Job job;
  for (const auto& key : job_keys()) {
    const auto value = identity.find(key.section + "." + key.name);
    if (value != identity.end()) key.access.set(job, *value);
  }
  return job;
}

/// The weights between the files' own largest inputs and outputs; another pair's is not known.
DownWeight down_weight_of(const std::vector<std::string>& paths) {
  return [paths](int64_t layer, int64_t neuron, int64_t channel) {
    for (const auto& path : paths) {
      const H5File file = open_sweep(path);
      const Hyperslab place = {{static_cast<hsize_t>(layer)}, {1}};
      std::array<int64_t, 2> pair{};
      file.dataset("super_weights/neuron").read(H5T_NATIVE_INT64, place, &pair[0]);
      file.dataset("super_weights/channel").read(H5T_NATIVE_INT64, place, &pair[1]);
      if (pair[0] != neuron || pair[1] != channel) continue;
      float weight = 0;
      file.dataset("super_weights/weight").read(H5T_NATIVE_FLOAT, place, &weight);
      return weight;
    }
    return std::numeric_limits<float>::quiet_NaN();
  };
}

}  // namespace

void merge_files(const std::vector<std::string>& paths, const std::string& wanted) {
  require(paths.size() >= 2, ErrorKind::kOutput, "{}: a merge needs two files or more, found {}",
          wanted, paths.size());
  const std::string target = resolve_output(wanted);
  std::error_code ignored;
  require(!std::filesystem::exists(target, ignored), ErrorKind::kOutput,
          "{}: exists already; a merge replaces no file", target);
  check_writable(target);
  const RunLock lock(target);
  remove_unfinished(target, {});
  std::vector<Source> sources;
  for (const auto& path : paths) {
    Source source = read_source(path);
    for (const auto& earlier : sources) check_pair(earlier, source);
    sources.push_back(std::move(source));
  }
  const Job job = job_of(sources.front().identity);
  Assembly assembly;
  assembly.target = target;
  assembly.parts = paths;
  assembly.datasets = sources.front().datasets;
  assembly.extents = summed_extents(sources);
  assembly.attributes = merged_attributes(sources);
  assembly.offset_indices = true;
  assembly.derive = [&](const MergedFields& fields) {
    return derive(job, fields, down_weight_of(paths));
  };
  assembly.constants = sources.front().constants;
  assemble(assembly, MPI_COMM_SELF);
}

}  // namespace actsweep
