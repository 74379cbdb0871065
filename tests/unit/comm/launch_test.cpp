#include "comm/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace actsweep {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using Variables = std::map<std::string, std::string>;

Environment environment_of(const Variables& variables) {
  return [variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  };
}

std::string mistake(int ranks, const Variables& variables) {
  return launch_mistake(ranks, environment_of(variables));
}

TEST(Launch, WorldThatALauncherMadeIsRight) {
  EXPECT_THAT(mistake(1, {}), IsEmpty());
  EXPECT_THAT(mistake(4, {{"OMPI_COMM_WORLD_SIZE", "4"}}), IsEmpty());
  EXPECT_THAT(mistake(1, {{"OMPI_COMM_WORLD_SIZE", "1"}}), IsEmpty());
  EXPECT_THAT(
      mistake(4, {{"SLURM_NTASKS", "4"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_STEP_ID", "0"}}),
      IsEmpty());
  EXPECT_THAT(mistake(1, {{"SLURM_NTASKS", "no number"}}), IsEmpty());
}

TEST(Launch, LauncherOfAnotherMpiIsRefusedWithTheCure) {
  EXPECT_THAT(mistake(1, {{"OMPI_COMM_WORLD_SIZE", "2"}}), HasSubstr("OMPI_COMM_WORLD_SIZE = 2"));
  EXPECT_THAT(mistake(1, {{"PMI_SIZE", "8"}, {"PMI_RANK", "3"}}), HasSubstr("PMI_SIZE = 8"));
}

TEST(Launch, TasksOfSlurmThatMpiDoesNotJoinAreRefusedWithTheCure) {
  const Variables step = {
      {"SLURM_NTASKS", "4"}, {"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_STEP_ID", "0"}};
  EXPECT_THAT(mistake(1, step), HasSubstr("SLURM_STEP_NUM_TASKS = 4"));
  EXPECT_THAT(mistake(1, step), HasSubstr("srun --mpi=pmix"));
  // In the shell of the job itself.
  EXPECT_THAT(mistake(1, {{"SLURM_NTASKS", "4"}}), HasSubstr("SLURM_NTASKS = 4"));
  EXPECT_THAT(mistake(1, {{"SLURM_NTASKS", "4"}}), HasSubstr("srun --mpi=pmix"));
}

TEST(Launch, StepWithoutAWayToTheOtherTasksIsRefusedBeforeMpiStarts) {
  Variables step = {{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_STEP_ID", "0"}};
  EXPECT_THAT(step_without_mpi(environment_of(step)), HasSubstr("srun has started 4 task(s)"));
  EXPECT_THAT(step_without_mpi(environment_of(step)), HasSubstr("srun --mpi=pmix"));
  for (const char* name : {"PMIX_RANK", "PMI_FD", "OMPI_COMM_WORLD_SIZE"}) {
    Variables joined = step;
    joined.emplace(name, "1");
    EXPECT_THAT(step_without_mpi(environment_of(joined)), IsEmpty());
  }
  EXPECT_THAT(step_without_mpi(environment_of({{"SLURM_NTASKS", "4"}})), IsEmpty());
}

TEST(Launch, InsideAJobTheNearestLauncherSpeaks) {
  EXPECT_THAT(mistake(1, {{"SLURM_NTASKS", "4"}, {"OMPI_COMM_WORLD_SIZE", "1"}}), IsEmpty());
  EXPECT_THAT(
      mistake(1, {{"SLURM_NTASKS", "4"}, {"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_STEP_ID", "2"}}),
      IsEmpty());
}

TEST(Launch, FirstOfItsProcessesSpeaks) {
  const auto is_first = [](const Variables& variables) {
    return is_first_process(environment_of(variables));
  };
  EXPECT_TRUE(is_first({}));
  EXPECT_TRUE(is_first({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}));
  EXPECT_FALSE(is_first({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "3"}}));
  EXPECT_FALSE(is_first({{"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "1"}}));
}

}  // namespace
}  // namespace actsweep
