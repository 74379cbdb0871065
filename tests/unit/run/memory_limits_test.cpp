#include "run/memory_limits.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace actsweep {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kMiB = 1 << 20;
constexpr const char* kVersion1Mount =
    "31 23 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n";
constexpr const char* kVersion2Mount =
    "31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

/// The files of a system with 16 GiB available.
class System : public testing::Test {
 protected:
  System() : root_(testing::TempDir() + "actsweep-system-XXXXXX") {
    root_ = ::mkdtemp(root_.data());
    write("/proc/meminfo", "MemTotal: 33554432 kB\nMemAvailable:   16777216 kB\n");
  }
  ~System() override {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void write_process(const std::string& groups, const std::string& mounts) const {
    write("/proc/self/cgroup", groups);
    write("/proc/self/mountinfo",
          "22 1 8:1 / / rw - ext4 /dev/root rw\n" + mounts +
              "40 23 0:40 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
  }
  /// A group of version 1 or 2, whose files are pages of which the kernel can take `file_bytes`.
  void add_version_1(const std::string& folder, int64_t limit, int64_t usage,
                     int64_t file_bytes = 0) const {
    write(folder + "/memory.limit_in_bytes", std::to_string(limit));
    write(folder + "/memory.usage_in_bytes", std::to_string(usage));
    write(folder + "/memory.stat", "cache 1\nactive_file 7\ntotal_active_file " +
                                       std::to_string(file_bytes / 4) + "\ntotal_inactive_file " +
                                       std::to_string(file_bytes - file_bytes / 4) + "\n");
  }
  void add_version_2(const std::string& folder, const std::string& max, const std::string& high,
                     int64_t usage, int64_t file_bytes = 0) const {
    write(folder + "/memory.max", max);
    write(folder + "/memory.high", high);
    write(folder + "/memory.current", std::to_string(usage));
    write(folder + "/memory.stat",
          "anon 5\nactive_file 0\ninactive_file " + std::to_string(file_bytes) + "\n");
  }
  int64_t left_mib() const { return left_on_node_bytes(root_) / kMiB; }

  std::string root_;
};

constexpr int64_t kNoLimit = 9223372036854771712;  // as version 1 writes it

TEST_F(System, WithoutControlGroupsWhatIsAvailableIsLeft) {
  EXPECT_EQ(left_mib(), 16 * 1024);
  fs::remove(root_ + "/proc/meminfo");
  EXPECT_EQ(left_on_node_bytes(root_), kUnlimited_bytes);
}

TEST_F(System, Version1LimitsByTheProcessOwnGroup) {
  write_process("9:memory:/job_7\n3:cpu,cpuacct:/other\n", kVersion1Mount);
  add_version_1("/sys/fs/cgroup/memory", kNoLimit, 900 * kMiB);
  add_version_1("/sys/fs/cgroup/memory/job_7", 600 * kMiB, 250 * kMiB, 50 * kMiB);
  add_version_1("/sys/fs/cgroup/memory/job_8", 1 * kMiB, 0);
  EXPECT_EQ(left_mib(), 400);
}

TEST_F(System, LeastOfAllLevelsCounts) {
  write_process("9:memory:/slurm/uid_1/job_7/step_0\n", kVersion1Mount);
  add_version_1("/sys/fs/cgroup/memory", kNoLimit, 900 * kMiB);
  add_version_1("/sys/fs/cgroup/memory/slurm", 8192 * kMiB, 900 * kMiB);
  add_version_1("/sys/fs/cgroup/memory/slurm/uid_1", kNoLimit, 900 * kMiB);
  add_version_1("/sys/fs/cgroup/memory/slurm/uid_1/job_7", 1024 * kMiB, 700 * kMiB);
  add_version_1("/sys/fs/cgroup/memory/slurm/uid_1/job_7/step_0", 1000 * kMiB, 100 * kMiB);
  EXPECT_EQ(left_mib(), 324);
}

TEST_F(System, Version2LimitsByMaxAndHigh) {
  write_process("0::/user.slice/job\n", kVersion2Mount);
  add_version_2("/sys/fs/cgroup/user.slice", "max", "max", 900 * kMiB);
  add_version_2("/sys/fs/cgroup/user.slice/job", std::to_string(600 * kMiB), "max", 200 * kMiB,
                100 * kMiB);
  EXPECT_EQ(left_mib(), 500);
  write("/sys/fs/cgroup/user.slice/job/memory.high", std::to_string(400 * kMiB));
  EXPECT_EQ(left_mib(), 300);
  write("/sys/fs/cgroup/user.slice/memory.max", std::to_string(1000 * kMiB));
  EXPECT_EQ(left_mib(), 100);
}

TEST_F(System, HybridHasItsMemoryInVersion1) {
  write_process("9:memory:/job\n0::/user.slice\n",
                std::string(kVersion1Mount) +
                    "32 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  add_version_1("/sys/fs/cgroup/memory/job", 600 * kMiB, 100 * kMiB);
  fs::create_directories(root_ + "/sys/fs/cgroup/unified/user.slice");
  EXPECT_EQ(left_mib(), 500);
}

TEST_F(System, ContainerWithoutItsOwnNamespaceNamesGroupsInFull) {
  write_process("9:memory:/docker/0123/inner\n",
                "31 23 0:26 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  add_version_1("/sys/fs/cgroup/memory", 800 * kMiB, 100 * kMiB);
  add_version_1("/sys/fs/cgroup/memory/inner", 600 * kMiB, 100 * kMiB);
  EXPECT_EQ(left_mib(), 500);
  fs::remove_all(root_ + "/sys/fs/cgroup/memory/inner");
  EXPECT_EQ(left_mib(), 700);
}

TEST_F(System, ContainerWithItsOwnNamespaceIsAtTheTop) {
  write_process("0::/\n", kVersion2Mount);
  add_version_2("/sys/fs/cgroup", std::to_string(600 * kMiB), "max", 100 * kMiB);
  EXPECT_EQ(left_mib(), 500);
  write_process("0::/../elsewhere\n", kVersion2Mount);  // beside the namespace's own top
  EXPECT_EQ(left_mib(), 500);
}

TEST_F(System, GroupsMountedElsewhereAreFound) {
  write_process("9:memory:/job\n", "31 23 0:26 / /mnt/my\\040groups rw - cgroup none rw,memory\n");
  add_version_1("/mnt/my groups/job", 600 * kMiB, 100 * kMiB);
  EXPECT_EQ(left_mib(), 500);
}

TEST_F(System, UsageBeyondALimitLeavesNothing) {
  write_process("0::/job\n", kVersion2Mount);
  add_version_2("/sys/fs/cgroup/job", std::to_string(600 * kMiB), "max", 700 * kMiB);
  EXPECT_EQ(left_on_node_bytes(root_), 0);
}

TEST_F(System, FilesThatSayNothingLimitNothing) {
  write_process("nonsense\n9:memory\n0::/job\n", kVersion2Mount);
  write("/sys/fs/cgroup/job/memory.max", "");
  EXPECT_EQ(left_mib(), 16 * 1024);
}

TEST_F(System, MemoryHeldIsThatWithoutPagesOfFiles) {
  write("/proc/self/status",
        "VmRSS:\t 5000 kB\nRssAnon:\t 3000 kB\nRssFile:\t 1900 kB\n"
        "RssShmem:\t 100 kB\n");
  EXPECT_EQ(held_bytes(root_), 3100 * 1024);
}

int64_t slurm_mib(std::map<std::string, std::string> variables) {
  const auto bytes = slurm_bytes([&](const char* name) { return variables[name]; });
  return bytes == kUnlimited_bytes ? -1 : bytes / kMiB;
}

TEST(SlurmMemory, IsThatOfTheNodeOrOfItsCoresOrGpus) {
  EXPECT_EQ(slurm_mib({{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "4096"}}), 4096);
  const std::map<std::string, std::string> per_core = {
      {"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_CPU", "500"}, {"SLURM_CPUS_ON_NODE", "8"}};
  EXPECT_EQ(slurm_mib(per_core), 4000);
  EXPECT_EQ(
      slurm_mib(
          {{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_GPU", "1000"}, {"SLURM_GPUS_ON_NODE", "4"}}),
      4000);
}

TEST(SlurmMemory, LimitsNothingWhereAllIsGivenOrNothingIsSaid) {
  EXPECT_EQ(slurm_mib({}), -1);
  EXPECT_EQ(slurm_mib({{"SLURM_MEM_PER_NODE", "4096"}}), -1);  // outside of a job
  EXPECT_EQ(slurm_mib({{"SLURM_JOB_ID", "7"}}), -1);
  EXPECT_EQ(slurm_mib({{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "0"}}), -1);
  EXPECT_EQ(slurm_mib({{"SLURM_JOB_ID", "7"}, {"SLURM_MEM_PER_NODE", "all"}}), -1);
}

TEST(ProcessMemory, IsWithinTheLimitsOfTheProcess) {
  constexpr int64_t kMore = 1024 * kMiB;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlimit limit = {static_cast<rlim_t>(pages * ::getpagesize() + kMore), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  const int64_t left = left_to_process_bytes();
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_LE(left, kMore);
  EXPECT_GT(left, kMore - 64 * kMiB);
}

}  // namespace
}  // namespace actsweep
