#include "run/earlier_sweep.h"

#include <algorithm>

#include "base/sha256.h"
#include "output/linked_rows.h"

namespace actsweep {
namespace {

constexpr const char* kKey = "[statistics] attention_from";

/// Of an identity: what decides which token stands where in which sequence.
constexpr const char* kWindowKeys[] = {"corpus.fingerprint", "corpus.sequence_length",
                                       "corpus.windows", "corpus.bos"};

void check_same_windows(const H5File& file, const nlohmann::json& identity) {
  const auto theirs = nlohmann::json::parse(file.read_text("identity"));
  for (const auto* key : kWindowKeys) {
    const auto found = theirs.value(key, nlohmann::json());
    require(found == identity.at(key), ErrorKind::kJob,
            "{} = \"{}\": expected a sweep file of the same windows, with {} = {}, found {}", kKey,
            file.file(), key, identity.at(key).dump(), found.dump());
  }
}

}  // namespace

H5File open_earlier_sweep(const std::string& key, const std::string& path) {
  H5File file = H5File::open(path, ErrorKind::kJob);
  require(file.has_attribute("complete") && file.has_attribute("model_fingerprint"),
          ErrorKind::kJob, "{} = \"{}\": expected a complete sweep file, found another file", key,
          path);
  check_linked_files(file);
  return file;
}

std::vector<int64_t> event_column(const std::string& key, const H5File& file,
                                  const std::string& name) {
  const auto path = "massive/" + name;
  require(file.contains(path), ErrorKind::kJob,
          "{} = \"{}\": expected a sweep of the site residual, found no /massive", key,
          file.file());
  const auto dataset = file.dataset(path);
  std::vector<int64_t> values(dataset.shape().at(0));
  if (!values.empty()) dataset.read_all(H5T_NATIVE_INT64, values.data());
  return values;
}

std::string content_fingerprint(const H5File& file) {
  Sha256 hash;
  for (const char* attribute : {"identity", "model_fingerprint", "corpus_fingerprint"}) {
    hash.add(file.read_text(attribute));
  }
  return hash.hex();
}

EarlierEvents read_earlier_events(const std::string& path, const nlohmann::json& identity) {
  const auto file = open_earlier_sweep(kKey, path);
  check_same_windows(file, identity);
  const auto sequence = event_column(kKey, file, "sequence");
  const auto position = event_column(kKey, file, "position");
  EarlierEvents events{{}, content_fingerprint(file)};
  for (size_t i = 0; i < sequence.size(); ++i) events.positions[sequence[i]].push_back(position[i]);
  for (auto& [number, found] : events.positions) {
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  }
  return events;
}

}  // namespace actsweep
