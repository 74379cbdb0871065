#include "run/pending.h"

#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/h5.h"
#include "output/linked_rows.h"

namespace actsweep {
namespace {

void refuse_other_identity(const nlohmann::json& mine, const std::string& text,
                           const std::string& path, const std::string& remedy) {
  const auto theirs = nlohmann::json::parse(text, nullptr, false);
  require(theirs.is_object(), ErrorKind::kOutput,
          "{}: identity: expected a JSON object, found \"{}\"", path, text);
  const auto lines = differing_keys(mine, theirs);
  require(lines.empty(), ErrorKind::kOutput,
          "{}: made by a different job; expected its identity to be this job's, found\n  {}\n{}",
          path, fmt::join(lines, "\n  "), remedy);
}

}  // namespace

SweepState find_state(const SweepInputs& inputs, const nlohmann::json& identity) {
  SweepState state;
  const auto& path = inputs.job.output.path;
  const auto folder = segment_folder(path);
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    const auto file = H5File::open(path, ErrorKind::kOutput);
    require(file.has_attribute("complete") && file.has_attribute("identity"), ErrorKind::kOutput,
            "{}: expected a complete sweep file or none, found another file; move it away", path);
    refuse_other_identity(identity, file.read_text("identity"), path,
                          "move it away, or choose another [output] path");
    check_linked_files(file);
    state.is_complete = true;
    return state;
  }
  state.segments = find_segments(folder);
  for (const auto& segment : state.segments) {
    refuse_other_identity(identity, segment.identity, segment.path,
                          fmt::format("remove {}, or choose another [output] path", folder));
  }
  return state;
}

std::vector<int64_t> pending_units(const SweepInputs& inputs, const SweepState& state) {
  std::set<int64_t> done;
  for (const auto& segment : state.segments) done.insert(segment.number);
  const auto& shard = inputs.job.corpus.shard;
  const int64_t segments = inputs.segments.segments();
  std::vector<int64_t> pending;
  for (int64_t number = shard.index; number < segments; number += shard.count) {
    if (!done.contains(number)) pending.push_back(number);
  }
  const auto prompts = static_cast<int64_t>(inputs.job.capture.prompts.size());
  for (int64_t number = segments; number < segments + prompts; ++number) {
    if (shard.index == 0 && !done.contains(number)) pending.push_back(number);
  }
  return pending;
}

}  // namespace actsweep
