#include "run/earlier_sweep.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/sha256.h"
#include "output/sweep_file.h"

namespace actsweep {
namespace {

/// Of an identity: what decides which token stands where in which sequence.
constexpr const char* kWindowKeys[] = {"corpus.fingerprint", "corpus.sequence_length",
                                       "corpus.windows", "corpus.bos"};

void check_same_windows(const H5File& file, const nlohmann::json& identity) {
  const auto theirs = nlohmann::json::parse(file.read_text("identity"));
  for (const auto* key : kWindowKeys) {
    const auto found = theirs.value(key, nlohmann::json());
    require(found == identity.at(key), ErrorKind::kJob,
            "{}: [statistics] attention_from: expected a sweep file of the same windows, with {} = "
            "{}, found {}",
            file.file(), key, identity.at(key).dump(), found.dump());
  }
}

std::vector<int64_t> column(const H5File& file, const std::string& name) {
  const auto dataset = file.dataset("massive/" + name);
  std::vector<int64_t> values(dataset.shape().at(0));
  if (!values.empty()) dataset.read_all(H5T_NATIVE_INT64, values.data());
  return values;
}

}  // namespace

PositionsBySequence positions_with_events(const std::string& path, const nlohmann::json& identity) {
  const auto file = open_sweep(path);
  check_same_windows(file, identity);
  require(file.contains("massive/position"), ErrorKind::kJob,
          "{}: [statistics] attention_from: expected a sweep of the site residual, found no "
          "/massive",
          path);
  const auto sequence = column(file, "sequence"), position = column(file, "position");
  PositionsBySequence positions;
  for (size_t i = 0; i < sequence.size(); ++i) positions[sequence[i]].push_back(position[i]);
  for (auto& [number, found] : positions) {
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  }
  return positions;
}

std::string fingerprint_of_sweep(const std::string& path) {
  Sha256 digest;
  digest.add(open_sweep(path).read_text("identity"));
  return digest.hex();
}

}  // namespace actsweep
