#include "comm/binding.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace actsweep {
namespace {

namespace fs = std::filesystem;
using Variables = std::map<std::string, std::string>;

Environment environment_of(const Variables& variables) {
  return [variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  };
}

/// A system whose processes a test describes.
class System {
 public:
  System() : root_(fs::path(testing::TempDir()) / "actsweep-system-XXXXXX") {
    root_ = ::mkdtemp(root_.data());
  }
  ~System() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  void add(int pid, int parent, const std::string& cores, const Variables& variables = {}) const {
    const auto process = fs::path(root_) / "proc" / std::to_string(pid);
    fs::create_directories(process);
    std::ofstream(process / "status")
        << "Name:\tx\nPPid:\t" << parent << "\nCpus_allowed:\tff\nCpus_allowed_list:\t" << cores
        << "\n";
    std::ofstream environ(process / "environ");
    for (const auto& [name, value] : variables) environ << name << "=" << value << '\0';
  }

  std::optional<std::set<int>> launcher(int pid) const { return cores_of_launcher(pid, root_); }

 private:
  std::string root_;
};

TEST(Binding, ListsOfCoresAreReadAsTheKernelWritesThem) {
  EXPECT_EQ(parse_cores("0-3,8"), (std::set<int>{0, 1, 2, 3, 8}));
  EXPECT_EQ(parse_cores("5"), std::set<int>{5});
  EXPECT_TRUE(parse_cores("").empty());
}

TEST(Binding, LauncherIsTheNearestProcessAboveThatIsNoRank) {
  const System system;
  const Variables rank = {{"OMPI_COMM_WORLD_RANK", "1"}, {"PATH", "/bin"}};
  system.add(10, 1, "0-63");                // a shell
  system.add(11, 10, "0-7", {{"A", "b"}});  // mpirun, under taskset
  system.add(12, 11, "3", rank);            // a script that binds no further
  system.add(13, 12, "3", rank);
  EXPECT_EQ(system.launcher(13), parse_cores("0-7"));
}

TEST(Binding, ProcessWithoutALauncherIsBoundByNobody) {
  const System system;
  system.add(10, 1, "0-63");
  system.add(11, 10, "3");
  EXPECT_FALSE(system.launcher(11).has_value());
}

TEST(Binding, LauncherThatCannotBeSeenSaysNothing) {
  const System system;
  const Variables rank = {{"PMI_RANK", "0"}};
  system.add(11, 10, "3", rank);  // of 10 nothing is known
  EXPECT_FALSE(system.launcher(11).has_value());
}

TEST(Binding, CoresOfAJobAreThoseOfThisNode) {
  const auto cores = [](const Variables& variables) {
    return cores_of_job(environment_of(variables));
  };
  EXPECT_FALSE(cores({}).has_value());
  EXPECT_EQ(cores({{"SLURM_CPUS_ON_NODE", "12"}}), 12);
  const std::string list = "16(x2),8,4(x3)";
  for (const auto& [node, expected] :
       std::map<std::string, int64_t>{{"0", 16}, {"1", 16}, {"2", 8}, {"5", 4}}) {
    EXPECT_EQ(cores({{"SLURM_JOB_CPUS_PER_NODE", list}, {"SLURM_NODEID", node}}), expected);
  }
  // A step of two of sixteen.
  EXPECT_EQ(cores({{"SLURM_JOB_CPUS_PER_NODE", "16"}, {"SLURM_CPUS_ON_NODE", "2"}}), 16);
}

}  // namespace
}  // namespace actsweep
