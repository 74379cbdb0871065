#include "comm/launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

namespace actsweep {
namespace {

/// A launcher, by the variables that it sets.
struct Launcher {
  const char* size;
  const char* rank;
  const char* needs;  // a variable without which `size` is a word of another launcher
  const char* name;
  const char* cure;
};

constexpr const char* kOwnLauncher =
    "start it with the launcher of the MPI that it was built with (mpirun of Open MPI)";
constexpr const char* kSrun =
    "srun has to speak the program's MPI: srun --mpi=pmix (srun --mpi=list says what it speaks), "
    "or "
    "mpirun inside the job";

/// One of these is set where a process can reach the others of its launch.
constexpr std::array kWaysToOthers = {
    "PMIX_NAMESPACE", "PMIX_RANK",        "PMI_RANK", "PMI_FD",
    "PMI_PORT",       "PMI_CONTROL_PORT", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"};

// The first of them that has set its size speaks: inside a job mpirun stands between Slurm and the
// program.
constexpr std::array kLaunchers = {
    Launcher{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "", "mpirun", kOwnLauncher},
    Launcher{"PMI_SIZE", "PMI_RANK", "", "a launcher of PMI", kOwnLauncher},
    Launcher{"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_ID", "srun", kSrun},
    Launcher{"SLURM_NTASKS", "SLURM_PROCID", "", "the job of Slurm",
             "start it as srun --mpi=pmix …, or with mpirun; srun --ntasks=1 is one rank"},
};

int number_of(const std::string& text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

const Launcher* launcher_of(const Environment& variable) {
  for (const auto& launcher : kLaunchers) {
    const bool speaks = *launcher.needs == '\0' || !variable(launcher.needs).empty();
    if (speaks && number_of(variable(launcher.size)) > 0) return &launcher;
  }
  return nullptr;
}

}  // namespace

std::string variable_of_process(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string step_without_mpi(const Environment& variable) {
  const auto is_set = [&](const char* name) { return !variable(name).empty(); };
  if (!is_set("SLURM_STEP_ID") || !is_set("SLURM_STEP_NUM_TASKS")) return "";
  if (std::any_of(kWaysToOthers.begin(), kWaysToOthers.end(), is_set)) return "";
  return fmt::format("srun has started {} task(s) (SLURM_STEP_NUM_TASKS) that MPI cannot join: {}",
                     variable("SLURM_STEP_NUM_TASKS"), kSrun);
}

std::string launch_mistake(int ranks, const Environment& variable) {
  const auto* launcher = launcher_of(variable);
  if (ranks != 1 || launcher == nullptr) return "";
  const int wanted = number_of(variable(launcher->size));
  if (wanted == 1) return "";
  return fmt::format(
      "expected the {} ranks of {} ({} = {}), found a world of 1 rank, which would sweep "
      "everything alone: {}",
      wanted, launcher->name, launcher->size, wanted, launcher->cure);
}

bool is_first_process(const Environment& variable) {
  const auto* launcher = launcher_of(variable);
  return launcher == nullptr || number_of(variable(launcher->rank)) == 0;
}

}  // namespace actsweep
