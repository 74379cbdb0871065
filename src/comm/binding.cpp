#include "comm/binding.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include "comm/session.h"

namespace actsweep {
namespace {

/// The variables that a launcher gives each rank its number by.
constexpr std::array kRankVariables = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK",
                                       "SLURM_PROCID"};
constexpr int kMostAncestors = 64;

/// What /proc/PID/status says under a name; empty where nothing.
std::string status_of(const std::string& process, const std::string& name) {
  std::ifstream file(process + "/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name + ":")) continue;
    const size_t begin = line.find_first_not_of(" \t", name.size() + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

/// A process with the variable is a rank, or a script that starts one.
bool has_variable(const std::string& process, const std::string& name) {
  std::ifstream file(process + "/environ");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return ('\0' + text).find('\0' + name + "=") != std::string::npos;
}

int64_t number_of(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// Of "16(x2),8" the number of a node.
int64_t entry_of(const std::string& list, int64_t node) {
  std::istringstream entries(list);
  for (std::string entry; std::getline(entries, entry, ',');) {
    const size_t times = entry.find("(x");
    node -= times == std::string::npos ? 1 : number_of(std::string_view(entry).substr(times + 2));
    if (node < 0) return number_of(entry);
  }
  return 0;
}

std::set<int> own_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  std::set<int> cores;
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &mask)) cores.insert(core);
  }
  return cores;
}

/// Cores that the ranks of a node use together, of those there are for them.
struct Share {
  int64_t used = 0;
  int64_t all = 0;
  double value() const {
    return all > 0 ? static_cast<double>(used) / static_cast<double>(all) : 1;
  }
};

/// Collective over the ranks of a node.
Share share_of_node(MPI_Comm node, const std::set<int>& mine) {
  std::array<uint8_t, CPU_SETSIZE> together{};
  for (const int core : mine) together.at(core) = 1;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, together.data(), CPU_SETSIZE, MPI_UINT8_T, MPI_MAX, node),
            "MPI_Allreduce");
  Share share;
  share.used = std::count(together.begin(), together.end(), 1);
  const auto launcher = cores_of_launcher(::getpid());
  if (!launcher) return share;
  const auto all = static_cast<int64_t>(launcher->size());
  share.all = std::min(all, cores_of_job(variable_of_process).value_or(all));
  return share;
}

}  // namespace

std::set<int> parse_cores(const std::string& list) {
  std::set<int> cores;
  std::istringstream ranges(list);
  for (std::string range; std::getline(ranges, range, ',');) {
    const size_t dash = range.find('-');
    const auto first = number_of(range);
    const auto last =
        dash == std::string::npos ? first : number_of(std::string_view(range).substr(dash + 1));
    for (auto core = first; core <= last; ++core) cores.insert(static_cast<int>(core));
  }
  return cores;
}

std::optional<std::set<int>> cores_of_launcher(pid_t pid, const std::string& root) {
  std::string process = fmt::format("{}/proc/{}", root, pid);
  // Of what the process was started with: MPI itself adds to that.
  const auto own = std::find_if(kRankVariables.begin(), kRankVariables.end(),
                                [&](const char* name) { return has_variable(process, name); });
  if (own == kRankVariables.end()) return std::nullopt;
  for (int i = 0; i < kMostAncestors; ++i) {
    const auto parent = number_of(status_of(process, "PPid"));
    if (parent <= 0) return std::nullopt;
    process = fmt::format("{}/proc/{}", root, parent);
    if (has_variable(process, *own)) continue;
    const auto cores = parse_cores(status_of(process, "Cpus_allowed_list"));
    return cores.empty() ? std::nullopt : std::optional(cores);
  }
  return std::nullopt;
}

std::optional<int64_t> cores_of_job(const Environment& variable) {
  const auto here = number_of(variable("SLURM_CPUS_ON_NODE"));
  const auto of_job =
      entry_of(variable("SLURM_JOB_CPUS_PER_NODE"), number_of(variable("SLURM_NODEID")));
  const auto cores = std::max(here, of_job);
  return cores > 0 ? std::optional(cores) : std::nullopt;
}

std::string binding_warning(MPI_Comm communicator, std::optional<int64_t> threads) {
  const Communicator node(split_by_node(communicator));
  const auto mine = own_cores();
  Share share = share_of_node(node.get(), mine);
  if (threads && *threads <= static_cast<int64_t>(mine.size())) share.all = 0;  // as it was asked
  std::vector<Share> shares(size_of(communicator));
  check_mpi(MPI_Allgather(&share, 2, MPI_INT64_T, shares.data(), 2, MPI_INT64_T, communicator),
            "MPI_Allgather");
  const auto least = *std::min_element(shares.begin(), shares.end(),
                                       [](auto& a, auto& b) { return a.value() < b.value(); });
  if (least.value() >= 1) return "";
  return fmt::format(
      "the launcher has bound the ranks of a node to {} of its {} cores ({:.0f} %), so the sweep "
      "uses only these: expected all; use mpirun --bind-to none or, for N cores a rank, mpirun "
      "--map-by slot:PE=N or srun --cpus-per-task=N",
      least.used, least.all, 100 * least.value());
}

}  // namespace actsweep
