#include "checkpoint/hub_cache.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kScheme = "hf:", kStart = "models--", kJoint = "--";

/// "ORG/MODEL" of a folder "models--ORG--MODEL".
std::string name_of_folder(const std::string& folder) {
  const auto name = folder.substr(kStart.size());
  const auto joint = name.find(kJoint);
  if (joint == std::string::npos) return name;
  return name.substr(0, joint) + "/" + name.substr(joint + kJoint.size());
}

std::string folder_of_name(std::string name) {
  if (const auto slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, kJoint);
  return std::string(kStart) + name;
}

CachedSnapshot snapshot_in(const fs::path& path) {
  for (auto word = path.begin(); word != path.end(); ++word) {
    const auto next = std::next(word);
    if (!word->string().starts_with(kStart) || next == path.end() || *next != "snapshots") continue;
    const auto commit = std::next(next);
    if (commit == path.end() || commit->empty()) continue;
    return {name_of_folder(word->string()), commit->string()};
  }
  return {};
}

/// With the environment's values of "$NAME" and "${NAME}"; others stay, as Python leaves them.
std::string with_variables(const std::string& text) {
  static const std::regex kVariable(R"(\$(\w+|\{[^}]*\}))");
  std::string filled;
  std::ptrdiff_t at = 0;
  for (std::sregex_iterator found(text.begin(), text.end(), kVariable), end; found != end; ++found) {
    auto name = (*found)[1].str();
    if (name.front() == '{') name = name.substr(1, name.size() - 2);
    const char* value = std::getenv(name.c_str());
    filled.append(text, at, found->position() - at);
    filled += value == nullptr ? found->str() : value;
    at = found->position() + found->length();
  }
  return filled + text.substr(at);
}

/// A folder that an environment variable names, "~" its owner's; empty where it is not set.
fs::path folder_from(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return {};
  std::string path = value;
  const char* home = std::getenv("HOME");
  if (home != nullptr && (path == "~" || path.starts_with("~/"))) path.replace(0, 1, home);
  return with_variables(path);
}

fs::path hub_folder() {
  for (const char* variable : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (auto folder = folder_from(variable); !folder.empty()) return folder;
  }
  if (const auto home = folder_from("HF_HOME"); !home.empty()) return home / "hub";
  const auto caches = folder_from("XDG_CACHE_HOME");
  return (caches.empty() ? folder_from("HOME") / ".cache" : caches) / "huggingface" / "hub";
}

/// The names in a folder, sorted; of files and folders alike.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  return names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "));
}

/// A model of the cache, as the job names it.
struct Wanted {
  std::string path;  // the whole
  std::string name;
  std::string revision;

  fs::path folder() const { return hub_folder() / folder_of_name(name); }
  std::string remedy() const {
    const auto option = revision == "main" ? "" : " --revision " + revision;
    return fmt::format("to fetch it, where there is a network: hf download {}{}", name, option);
  }
};

Wanted parse(const std::string& path) {
  const auto text = path.substr(kScheme.size());
  const auto at = text.find('@');
  const Wanted wanted = {path, text.substr(0, at),
                         at == std::string::npos ? "main" : text.substr(at + 1)};
  const auto& name = wanted.name;
  const bool is_name = !name.empty() && std::count(name.begin(), name.end(), '/') <= 1 &&
                       name.front() != '/' && name.back() != '/' &&
                       name.find("..") == std::string::npos && !wanted.revision.empty() &&
                       wanted.revision.find("..") == std::string::npos;
  require(is_name, ErrorKind::kModel,
          "{}: expected \"hf:ORG/MODEL\" or \"hf:ORG/MODEL@REVISION\", found other words", path);
  return wanted;
}

void require_model(const Wanted& wanted) {
  if (fs::is_directory(wanted.folder())) return;
  std::vector<std::string> models;
  for (const auto& name : names_in(hub_folder())) {
    if (name.starts_with(kStart)) models.push_back(name_of_folder(name));
  }
  fail(ErrorKind::kModel,
       "{}: expected a model of that name in the cache {}, found of models: {}; {}", wanted.path,
       hub_folder().string(), listed(models), wanted.remedy());
}

/// The commit of a revision: what its reference says, or the name of a snapshot.
std::string commit_of(const Wanted& wanted) {
  std::string commit;
  if (std::ifstream reference(wanted.folder() / "refs" / wanted.revision); reference) {
    reference >> commit;
  }
  return commit.empty() ? wanted.revision : commit;
}

/// Parts of files that a download has left behind in a model's folder.
std::vector<std::string> unfinished(const fs::path& folder) {
  auto names = names_in(folder / "blobs");
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(".incomplete"); });
  return names;
}

void require_snapshot(const Wanted& wanted, const fs::path& snapshot) {
  if (fs::is_directory(snapshot)) return;
  const auto parts = unfinished(wanted.folder());
  require(parts.empty(), ErrorKind::kModel,
          "{}: expected the snapshot {}, found a download that was not finished (blobs/{}); {}",
          wanted.path, snapshot.string(), parts.empty() ? "" : parts.front(), wanted.remedy());
  auto revisions = names_in(wanted.folder() / "refs");
  const auto commits = names_in(wanted.folder() / "snapshots");
  revisions.insert(revisions.end(), commits.begin(), commits.end());
  fail(ErrorKind::kModel, "{}: expected the revision {} in {}, found of revisions: {}; {}",
       wanted.path, wanted.revision, wanted.folder().string(), listed(revisions), wanted.remedy());
}

/// The files of a snapshot are links to blobs, which a download brings one by one.
void require_whole(const Wanted& wanted, const fs::path& snapshot) {
  for (const auto& name : names_in(snapshot)) {
    require(fs::exists(snapshot / name), ErrorKind::kModel,
            "{}: {}: expected the file that it links to, found none; {}", wanted.path,
            (snapshot / name).string(), wanted.remedy());
  }
  const auto parts = unfinished(wanted.folder());
  require(fs::exists(snapshot / "config.json") || parts.empty(), ErrorKind::kModel,
          "{}: {}: expected config.json, found a download that was not finished (blobs/{}); {}",
          wanted.path, snapshot.string(), parts.empty() ? "" : parts.front(), wanted.remedy());
}

}  // namespace

std::string model_directory(const std::string& path) {
  if (!path.starts_with(kScheme)) return path;
  const auto wanted = parse(path);
  require_model(wanted);
  const auto snapshot = wanted.folder() / "snapshots" / commit_of(wanted);
  require_snapshot(wanted, snapshot);
  require_whole(wanted, snapshot);
  return snapshot.string();
}

std::string unfinished_download(const std::string& directory) {
  const fs::path snapshots = fs::path(directory).parent_path();
  if (snapshots.filename() != "snapshots") return {};
  const auto parts = unfinished(snapshots.parent_path());
  if (parts.empty()) return {};
  return fmt::format("; a download of it was not finished (blobs/{})", parts.front());
}

CachedSnapshot snapshot_of(const std::string& directory) {
  std::error_code error;
  const auto given = fs::absolute(directory, error).lexically_normal();
  if (auto found = snapshot_in(given); !found.name.empty()) return found;
  const auto real = fs::weakly_canonical(directory, error);
  return error ? CachedSnapshot() : snapshot_in(real);
}

std::string checkpoint_name(const std::string& directory) {
  if (auto found = snapshot_of(directory); !found.name.empty()) return found.name;
  std::error_code error;
  const auto real = fs::weakly_canonical(directory, error);
  if (!error && real.has_filename()) return real.filename().string();
  return fs::absolute(directory, error).lexically_normal().filename().string();
}

}  // namespace actsweep
