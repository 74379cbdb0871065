#include "output/run_lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fstream>
#include <sstream>

#include "expect_error.h"
#include "file_size_limit.h"
#include "output/lock_holder.h"
#include "output/output_place.h"
#include "output/process.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A lock that another run has left: the text of this process with some lines in place of its own.
std::string text_with(const std::map<std::string, std::string>& lines) {
  std::string text;
  std::istringstream own(text_of_this_run());
  for (std::string line; std::getline(own, line);) {
    const auto word = line.substr(0, line.find(' '));
    if (!lines.contains(word)) text += line + "\n";
  }
  std::string added;
  for (const auto& [word, value] : lines) added += word + " " + value + "\n";
  return added + text;  // "started" stays the last line
}

/// A number that no process has.
std::string ended_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return std::to_string(child);
}

class Locked : public testing::Test {
 protected:
  Locked() { ::unsetenv("SLURM_JOB_ID"); }
  ~Locked() override {
    for (const char* name : {"SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURM_CLUSTER_NAME"}) {
      ::unsetenv(name);
    }
  }

  void leave(const std::string& text, int seconds_ago = 0, const std::string& name = "lock") {
    fs::create_directories(segment_folder(output_));
    const auto path = segment_folder(output_) + "/" + name;
    std::ofstream(path) << text;
    const timespec then = {std::time(nullptr) - seconds_ago, 0};
    const timespec times[2] = {then, then};
    ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  }

  void expect_refused(const std::vector<std::string>& words, LockedShard shard = {}) {
    expect_error(ErrorKind::kOutput, words, [&] { const RunLock lock(output_, shard); });
  }

  TemporaryFolder folder_;
  std::string output_ = folder_ / "sweep.h5";
  std::string lock_ = segment_folder(output_) + "/lock";
};

TEST_F(Locked, LivesAsLongAsItsRunAndTakesItsFolderWithIt) {
  {
    const RunLock lock(output_);
    EXPECT_THAT(read(lock_), HasSubstr("process " + std::to_string(::getpid())));
    EXPECT_THAT(read(lock_), HasSubstr("host "));
    EXPECT_EQ(read(lock_), lock.text());
    lock.check();
  }
  EXPECT_FALSE(fs::exists(segment_folder(output_)));
}

TEST_F(Locked, FolderWithSegmentsStays) {
  fs::create_directories(segment_folder(output_));
  std::ofstream(segment_folder(output_) + "/segment-000000.h5") << "x";
  { const RunLock lock(output_); }
  EXPECT_FALSE(fs::exists(lock_));
  EXPECT_TRUE(fs::exists(segment_folder(output_) + "/segment-000000.h5"));
}

TEST_F(Locked, SecondRunIsRefusedAndNamesTheFirst) {
  const RunLock lock(output_);
  expect_refused({output_, "another run has this output",
                  "process " + std::to_string(::getpid()) + " on " + this_process().host});
  EXPECT_EQ(read(lock_), lock.text());
}

TEST_F(Locked, JobOfSlurmIsNamed) {
  ::setenv("SLURM_JOB_ID", "4711", 1);
  const RunLock lock(output_);
  expect_refused({"(Slurm job 4711)"});
}

TEST_F(Locked, AfterAnErrorTheOutputIsFree) {
  try {
    const RunLock lock(output_);
    throw Error(ErrorKind::kOutput, "something");
  } catch (const Error&) {
  }
  { const RunLock lock(output_); }
}

TEST_F(Locked, LockThatCanBeWrittenInPartSaysWhyAndIsNotLeft) {
  errno = 0;  // nothing that failed before is named
  {
    const FileSizeLimit limit(10);
    expect_refused({"/lock: cannot write the lock: File too large"});
  }
  EXPECT_FALSE(fs::exists(segment_folder(output_)));
}

TEST_F(Locked, ProcessThatEndedHoldsNothing) {
  leave(text_with({{"process", ended_process()}}));
  const RunLock lock(output_);
  EXPECT_EQ(read(lock_), lock.text());
}

TEST_F(Locked, ZombieHoldsNothing) {
  const pid_t child = ::fork();
  if (child == 0) ::pause();
  const auto start = [&] {  // of the child, while it lives: field 22
    std::string text = read("/proc/" + std::to_string(child) + "/stat"), field;
    std::istringstream fields(text.substr(text.rfind(')') + 1));
    for (int i = 3; i <= 22; ++i) fields >> field;
    return field;
  }();
  leave(text_with({{"process", std::to_string(child)}, {"process_start", start}}));
  expect_refused({"process " + std::to_string(child)});
  ::kill(child, SIGKILL);
  siginfo_t info;
  ::waitid(P_PID, child, &info, WEXITED | WNOWAIT);  // ended, not reaped
  { const RunLock lock(output_); }
  ::waitpid(child, nullptr, 0);
}

TEST_F(Locked, LaterProcessOfTheSameNumberHoldsNothing) {
  leave(text_with({{"process_start", "1"}}));
  const RunLock lock(output_);
}

TEST_F(Locked, RunElsewhereHoldsItUntilItIsSilentForFiveMinutes) {
  const std::map<std::string, std::string> elsewhere = {
      {"host", "node7"}, {"place", "another-boot/pid:[1]"}, {"process", ended_process()}};
  leave(text_with(elsewhere), kSilence_s - 20);
  expect_refused({"on node7", "its last sign of life is 28", "after 300 s it counts as ended",
                  "remove " + lock_});
  leave(text_with(elsewhere), kSilence_s + 20);
  const RunLock lock(output_);
}

TEST_F(Locked, RestartOfTheSameJobTakesOverAtOnce) {
  const std::map<std::string, std::string> elsewhere = {
      {"place", "another-boot/pid:[1]"}, {"job", "12"}, {"cluster", "blue"}, {"restart", "1"}};
  leave(text_with(elsewhere));
  ::setenv("SLURM_JOB_ID", "12", 1);
  ::setenv("SLURM_CLUSTER_NAME", "blue", 1);
  ::setenv("SLURM_RESTART_COUNT", "1", 1);
  expect_refused({"Slurm job 12"});  // a second step of the same start
  ::setenv("SLURM_RESTART_COUNT", "2", 1);
  ::setenv("SLURM_CLUSTER_NAME", "green", 1);
  expect_refused({"Slurm job 12"});
  ::setenv("SLURM_CLUSTER_NAME", "blue", 1);
  const RunLock lock(output_);
}

TEST_F(Locked, TextThatSaysNothingHoldsWhileItIsYoung) {
  for (const char* text : {"", "host no", "\x01\x02\x03"}) {
    leave(text, kSilence_s - 20);
    expect_refused({"a run that has not said yet who it is"});
    leave(text, kSilence_s + 20);
    const RunLock lock(output_);
  }
}

TEST_F(Locked, ShardsOfOneNumberShareTheFolder) {
  const RunLock first(output_, {0, 3}), last(output_, {2, 3});
  expect_refused({"another run"}, {2, 3});
  expect_refused({"another run"}, {1, 4});  // which measures segments of both
  expect_refused({"another run"});
  EXPECT_TRUE(fs::exists(segment_folder(output_) + "/lock-0-of-3"));
  EXPECT_FALSE(fs::exists(lock_));
}

TEST_F(Locked, WholeRunKeepsShardsOutAndPassesThoseThatEnded) {
  leave(text_with({{"process", ended_process()}}), 0, "lock-1-of-3");
  const RunLock lock(output_);
  EXPECT_FALSE(fs::exists(segment_folder(output_) + "/lock-1-of-3"));
  expect_refused({"another run"}, {1, 3});
  EXPECT_FALSE(fs::exists(segment_folder(output_) + "/lock-1-of-3"));
}

TEST_F(Locked, OfManyThatFindAnEndedRunOneTakesOver) {
  constexpr int kRuns = 8, kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    leave(text_with({{"process", ended_process()}}));
    std::atomic<int> holders = 0, refusals = 0;
    std::barrier start(kRuns), all_tried(kRuns);
    std::vector<std::jthread> runs;
    for (int i = 0; i < kRuns; ++i) {
      runs.emplace_back([&] {
        start.arrive_and_wait();
        std::optional<RunLock> lock;
        try {
          lock.emplace(output_);
          ++holders;
        } catch (const Error&) {
          ++refusals;
        }
        all_tried.arrive_and_wait();
      });
    }
    runs.clear();
    EXPECT_EQ(holders, 1);
    EXPECT_EQ(refusals, kRuns - 1);
  }
}

TEST_F(Locked, LockOfAnotherRunIsNotRemovedAtTheEnd) {
  const std::string others = text_with({{"host", "node7"}});
  {
    const RunLock lock(output_);
    fs::remove(lock_);
    leave(others);
  }
  EXPECT_EQ(read(lock_), others);
}

/// What `check` says once it says anything, within ten seconds.
std::string complaint_of(const RunLock& lock) {
  for (int i = 0; i < 1000; ++i) {
    try {
      lock.check();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kOutput);
      return error.what();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return "";
}

TEST_F(Locked, RunThatWasTakenForDeadSeesItAndEnds) {
  const std::chrono::milliseconds pause(20);
  {
    const RunLock lock(output_, {}, pause);
    fs::remove(lock_);
    EXPECT_THAT(complaint_of(lock), HasSubstr("the lock of this run was removed"));
  }
  const RunLock lock(output_, {}, pause);
  fs::remove(lock_);
  const RunLock other(output_);
  EXPECT_THAT(complaint_of(lock), HasSubstr("another run has taken it"));
  other.check();
}

TEST_F(Locked, SignsOfLifeMakeItYoung) {
  const RunLock lock(output_, {}, std::chrono::milliseconds(20));
  const timespec past[2] = {{1000, 0}, {1000, 0}};
  ::utimensat(AT_FDCWD, lock_.c_str(), past, 0);
  struct stat state {};
  for (int i = 0; i < 1000 && (::stat(lock_.c_str(), &state), state.st_mtime == 1000); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_NEAR(static_cast<double>(state.st_mtime), static_cast<double>(std::time(nullptr)), 60);
}

TEST_F(Locked, AnotherRankGivesUpTheLockOfItsRunAlone) {
  const RunLock lock(output_);
  release_lock(lock_, "another text");
  EXPECT_TRUE(fs::exists(lock_));
  release_lock(lock_, lock.text());
  EXPECT_FALSE(fs::exists(lock_));
}

TEST_F(Locked, UnfinishedFilesOfKilledRunsAreRemoved) {
  const std::string segments = segment_folder(output_) + "/";
  fs::create_directories(segments);
  const std::vector<std::string> unfinished = {segments + "segment-000001.h5.partial",
                                               segments + "segment-000004.h5.partial-node7-12"};
  const std::vector<std::string> of_other_shards = {segments + "segment-000002.h5.partial-a-1"};
  const std::vector<std::string> of_whole_runs = {output_ + ".partial",
                                                  output_ + ".partial-node7-12"};
  const std::vector<std::string> others = {segments + "segment-000001.h5", output_ + ".partially",
                                           folder_ / "other.h5.partial-node7-12"};
  const auto exist = [](const std::vector<std::string>& paths) {
    return std::count_if(paths.begin(), paths.end(), [](auto& path) { return fs::exists(path); });
  };
  for (const auto& paths : {unfinished, of_other_shards, of_whole_runs, others}) {
    for (const auto& path : paths) std::ofstream(path) << "half";
  }
  remove_unfinished(output_, {1, 3});
  EXPECT_EQ(exist(unfinished), 0);
  EXPECT_EQ(exist(of_other_shards), 1);
  EXPECT_EQ(exist(of_whole_runs), 2);
  remove_unfinished(output_, {});
  EXPECT_EQ(exist(of_other_shards), 0);
  EXPECT_EQ(exist(of_whole_runs), 0);
  EXPECT_EQ(exist(others), 3);
}

TEST_F(Locked, PartsWithoutTheirSegmentAreRemoved) {
  const std::string segments = segment_folder(output_) + "/";
  fs::create_directories(segments);
  const std::vector<std::string> removed = {"segment-000001.h5.part-1", "segment-000001.h5.part-12",
                                            "segment-000001.h5.part-2.partial-node7-12",
                                            "segment-000004.h5.part-1.partial"};
  const std::vector<std::string> kept = {"segment-000002.h5.part-1",  // of another shard
                                         "segment-000004.h5",        "segment-000004.h5.part-1",
                                         "segment-000001.h5.part-x", "segment-000001.h5.part-1.txt",
                                         "segment-000001.part-1"};
  for (const auto& names : {removed, kept}) {
    for (const auto& name : names) std::ofstream(segments + name) << "x";
  }
  remove_unfinished(output_, {1, 3});
  for (const auto& name : removed) EXPECT_FALSE(fs::exists(segments + name)) << name;
  for (const auto& name : kept) EXPECT_TRUE(fs::exists(segments + name)) << name;
}

TEST(Process, NamesOfUnfinishedFilesAreItsOwn) {
  const std::string mine = partial_of("/x/sweep.h5");
  EXPECT_THAT(mine, HasSubstr("/x/sweep.h5.partial-"));
  EXPECT_TRUE(mine.ends_with(fmt::format("-{}", ::getpid())));
  EXPECT_TRUE(is_partial_of(fs::path(mine).filename(), "sweep.h5"));
  EXPECT_FALSE(is_partial_of("sweep.h5", "sweep.h5"));
}

TEST(Process, ThisOneLives) { EXPECT_TRUE(is_alive(this_process())); }

}  // namespace
}  // namespace actsweep
