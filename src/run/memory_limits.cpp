#include "run/memory_limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <vector>

namespace actsweep {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kMiB = 1 << 20;

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// A number in a file of its own; nothing where there is none ("max").
std::optional<int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

/// The numbers of a file of lines "word number", with or without a colon and a unit.
std::map<std::string, int64_t> numbers_in(const std::string& path) {
  std::map<std::string, int64_t> numbers;
  for (const auto& line : lines_of(path)) {
    std::istringstream fields(line);
    std::string word;
    int64_t number = 0;
    if (!(fields >> word >> number)) continue;
    if (word.ends_with(':')) word.pop_back();
    numbers[word] = number;
  }
  return numbers;
}

/// A hierarchy of control groups: where it is mounted, and where this process stands in it.
struct Hierarchy {
  bool is_version_2 = false;
  std::string mounted_part;  // the group that the mount shows as its top
  std::string mount;
  std::string group;  // of this process, from the top of the hierarchy
};

/// "\040" in a path of mountinfo stands for a space.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '\\' && i + 3 < text.size();
    plain += is_escape ? static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)) : text[i];
    i += is_escape ? 3 : 0;
  }
  return plain;
}

bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

/// The process' group in version 2, and that of version 1's memory.
std::map<bool, std::string> groups_of_process(const std::string& root) {
  std::map<bool, std::string> groups;  // by whether of version 2
  for (const auto& line : lines_of(root + "/proc/self/cgroup")) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty() || has_word(controllers, "memory")) {
      groups[controllers.empty()] = line.substr(second + 1);
    }
  }
  return groups;
}

std::vector<Hierarchy> hierarchies(const std::string& root) {
  const auto groups = groups_of_process(root);
  std::vector<Hierarchy> found;
  for (const auto& line : lines_of(root + "/proc/self/mountinfo")) {
    // 31 23 0:26 PART MOUNT rw,nosuid shared:9 - TYPE cgroup rw,memory
    std::istringstream fields(line);
    std::string skipped, part, mount, word, type, source, options;
    fields >> skipped >> skipped >> skipped >> part >> mount;
    while (fields >> word && word != "-") {
    }
    fields >> type >> source >> options;
    const bool is_version_2 = type == "cgroup2";
    if (!is_version_2 && (type != "cgroup" || !has_word(options, "memory"))) continue;
    const auto group = groups.find(is_version_2);
    if (group == groups.end()) continue;
    found.push_back({is_version_2, unescaped(part), root + unescaped(mount), group->second});
  }
  return found;
}

/// The folders of the process' group and of those above it, as far as the mount shows them.
std::vector<fs::path> levels(const Hierarchy& hierarchy) {
  const fs::path mount = hierarchy.mount;
  std::string below = hierarchy.group;
  // Inside a container the mount shows a part alone, of which the group is named in full.
  if (hierarchy.mounted_part != "/" && below.starts_with(hierarchy.mounted_part)) {
    below = below.substr(hierarchy.mounted_part.size());
  }
  std::vector<fs::path> found;
  fs::path place = (mount / fs::path(below).relative_path()).lexically_normal();
  const auto is_inside = [&] {
    const auto from_mount = place.lexically_relative(mount);
    return !from_mount.empty() && *from_mount.begin() != "..";
  };
  std::error_code ignored;
  for (; is_inside() && place != mount; place = place.parent_path()) {
    if (fs::exists(place, ignored)) found.push_back(place);
  }
  found.push_back(mount);
  return found;
}

/// What a group's usage holds that the kernel gives back before it ends a process.
int64_t reclaimable_bytes(const fs::path& group, bool is_version_2) {
  const auto numbers = numbers_in(group / "memory.stat");
  const std::string prefix = is_version_2 ? "" : "total_";  // of all groups below too
  int64_t bytes = 0;
  for (const char* name : {"inactive_file", "active_file"}) {
    const auto found = numbers.find(prefix + name);
    if (found != numbers.end()) bytes += found->second;
  }
  return bytes;
}

int64_t left_in_group_bytes(const fs::path& group, bool is_version_2) {
  std::vector<const char*> limits = {"memory.limit_in_bytes"};
  if (is_version_2) limits = {"memory.max", "memory.high"};
  const char* usage_name = is_version_2 ? "memory.current" : "memory.usage_in_bytes";
  int64_t limit = kUnlimited_bytes;
  for (const char* name : limits) limit = std::min(limit, number_in(group / name).value_or(limit));
  if (limit == kUnlimited_bytes) return kUnlimited_bytes;
  const int64_t usage = number_in(group / usage_name).value_or(0);
  const int64_t held = std::max<int64_t>(0, usage - reclaimable_bytes(group, is_version_2));
  return std::max<int64_t>(0, limit - held);
}

int64_t number_of(const std::string& text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return std::max<int64_t>(0, number);
}

int64_t left_of_limit(int resource, int64_t used) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return kUnlimited_bytes;
  if (limit.rlim_cur == RLIM_INFINITY) return kUnlimited_bytes;
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - used);
}

}  // namespace

int64_t left_on_node_bytes(const std::string& root) {
  const auto system = numbers_in(root + "/proc/meminfo");
  const auto available = system.find("MemAvailable");
  int64_t bytes = available == system.end() ? kUnlimited_bytes : available->second * 1024;
  for (const auto& hierarchy : hierarchies(root)) {
    for (const auto& group : levels(hierarchy)) {
      bytes = std::min(bytes, left_in_group_bytes(group, hierarchy.is_version_2));
    }
  }
  return bytes;
}

int64_t slurm_bytes(const Environment& variable) {
  if (variable("SLURM_JOB_ID").empty()) return kUnlimited_bytes;
  const int64_t cpus = number_of(variable("SLURM_CPUS_ON_NODE"));
  const int64_t gpus = number_of(variable("SLURM_GPUS_ON_NODE"));
  int64_t mib = number_of(variable("SLURM_MEM_PER_NODE"));
  if (mib == 0) mib = number_of(variable("SLURM_MEM_PER_CPU")) * cpus;
  if (mib == 0) mib = number_of(variable("SLURM_MEM_PER_GPU")) * gpus;
  return mib == 0 || mib > kUnlimited_bytes / kMiB ? kUnlimited_bytes : mib * kMiB;
}

int64_t left_to_process_bytes() {
  const auto status = numbers_in("/proc/self/status");
  const auto used = [&](const char* name) {
    const auto found = status.find(name);
    return found == status.end() ? 0 : found->second * 1024;
  };
  return std::min(left_of_limit(RLIMIT_AS, used("VmSize")),
                  left_of_limit(RLIMIT_DATA, used("VmData")));
}

int64_t held_bytes(const std::string& root) {
  const auto status = numbers_in(root + "/proc/self/status");
  int64_t kib = 0;
  for (const char* name : {"RssAnon", "RssShmem"}) {
    if (const auto found = status.find(name); found != status.end()) kib += found->second;
  }
  return kib * 1024;
}

}  // namespace actsweep
