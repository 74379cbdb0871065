// Three claims: the fake NCCL catches misuse (else the law tests over it would prove little), the
// NCCL backend turns whatever NCCL reports, at once, later or never, into an Error on every rank,
// without a hang, and a session's groups leave no communicator behind, however they end.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nccl.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/groups.h"
#include "comm/nccl_backend.h"
#include "comm/session.h"
#include "fakes/nccl_over_mpi.h"

namespace actsweep {
namespace {

using testing::HasSubstr;

/// Sets the fake's injection for one communicator.
class Injected {
 public:
  explicit Injected(const char* what) { setenv("ACTSWEEP_FAKE_NCCL_FAIL", what, 1); }
  ~Injected() { unsetenv("ACTSWEEP_FAKE_NCCL_FAIL"); }
};

int world(int (*question)(MPI_Comm, int*)) {
  int answer = 0;
  question(MPI_COMM_WORLD, &answer);
  return answer;
}

std::shared_ptr<GroupBackend> make_backend(
    std::chrono::milliseconds patience = std::chrono::seconds(20)) {
  return make_nccl_backend(MPI_COMM_WORLD, at::Device(at::kCPU), patience);
}

/// The message of the Error(kDevice) that `work` throws; anything else is a failure.
std::string device_error(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDevice);
    return error.what();
  }
  ADD_FAILURE() << "no Error";
  return {};
}

/// One call of each collective, in this order. A reduce-scatter is NCCL's all_to_all, and a sum of
/// floats would be one, too.
void call_all(GroupBackend& backend) {
  const int m = world(MPI_Comm_size);
  const at::Tensor part = at::ones({3}), whole = at::ones({3 * m});
  at::Tensor out_part = at::empty({3}), out_whole = at::empty({3 * m});
  backend.all_gather(part, out_whole);
  backend.reduce_scatter(whole, out_part);
  backend.all_to_all(whole, out_whole);
  backend.all_reduce(out_part, Reduction::kMax);
}

TEST(NcclBackend, GoesThroughNcclAndLeavesNoCommunicator) {
  auto before = fakes::nccl_operation_counts();
  const auto backend = make_backend();
  EXPECT_EQ(fakes::nccl_live_communicators(), 1);
  call_all(*backend);
  backend->check();
  backend->finish();
  auto after = fakes::nccl_operation_counts();
  for (const char* operation : {"init", "all_gather", "all_reduce", "finalize"}) {
    EXPECT_EQ(after[operation], before[operation] + 1) << operation;
  }
  EXPECT_EQ(after["all_to_all"], before["all_to_all"] + 2);
  EXPECT_EQ(fakes::nccl_live_communicators(), 0);
}

TEST(NcclBackend, ErrorOfEachOperationIsThrownOnEveryRank) {
  const std::vector<std::pair<const char*, std::string>> third = {
      {"all_gather:3", "all_gather"},
      {"all_to_all:5", "reduce_scatter"},
      {"all_to_all:6", "all_to_all"},
      {"all_reduce:3", "all_reduce"}};
  for (const auto& [injection, operation] : third) {
    const Injected injected(injection);
    const auto backend = make_backend();
    call_all(*backend);
    call_all(*backend);
    const std::string message = device_error([&] { call_all(*backend); });
    EXPECT_THAT(message, HasSubstr("NCCL " + operation + " on rank"));
    EXPECT_THAT(message, HasSubstr("system failed (fake NCCL: injected error in"));
    EXPECT_THAT(device_error([&] { call_all(*backend); }), HasSubstr("has failed before"));
    EXPECT_THAT(device_error([&] { backend->check(); }), HasSubstr("has failed before"));
    EXPECT_THAT(device_error([&] { backend->finish(); }), HasSubstr("has failed before"));
  }
  EXPECT_EQ(fakes::nccl_live_communicators(), 0);
}

TEST(NcclBackend, ErrorOfOneRankIsThrownOnEveryRank) {
  const int last = world(MPI_Comm_size) - 1;
  const Injected injected(("all_to_all:3@" + std::to_string(last)).c_str());
  const auto backend = make_backend();
  call_all(*backend);
  const std::string message = device_error([&] { call_all(*backend); });
  const bool is_mine = world(MPI_Comm_rank) == last;
  EXPECT_THAT(message, HasSubstr(is_mine ? "system failed" : "remote error"));
}

TEST(NcclBackend, ErrorWhileAnOperationIsEnqueuedIsThrownByIt) {
  const Injected injected("async:4");
  const auto backend = make_backend();
  EXPECT_THAT(device_error([&] { call_all(*backend); }),
              HasSubstr("NCCL all_reduce on rank"));  // the fourth
}

TEST(NcclBackend, ErrorOfAnEnqueuedOperationIsThrownByTheNextCheck) {
  const Injected injected("late:4");
  const auto backend = make_backend();
  call_all(*backend);
  EXPECT_THAT(device_error([&] { backend->check(); }),
              testing::AllOf(HasSubstr("NCCL check on rank"), HasSubstr("remote error")));
  EXPECT_THAT(device_error([&] { backend->check(); }), HasSubstr("has failed before"));
}

TEST(NcclBackend, ErrorOfAnEnqueuedOperationIsThrownByTheNextOperation) {
  const Injected injected("late:4");
  const auto backend = make_backend();
  call_all(*backend);
  EXPECT_THAT(device_error([&] { call_all(*backend); }), HasSubstr("NCCL all_gather on rank"));
}

TEST(NcclBackend, OperationThatNeverSettlesIsAnErrorWhenPatienceEnds) {
  const Injected injected("hang:2");
  const auto backend = make_backend(std::chrono::milliseconds(200));
  const auto place = fmt::format("NCCL reduce_scatter on rank {} of {}, device cpu",
                                 world(MPI_Comm_rank), world(MPI_Comm_size));
  EXPECT_THAT(device_error([&] { call_all(*backend); }),
              testing::AllOf(HasSubstr(place), HasSubstr("after 0.2 s; is a peer dead?")));
}

TEST(NcclBackend, FailedEndIsThrownAndIsAnEnd) {
  const Injected injected("finalize:1");
  const auto backend = make_backend();
  EXPECT_THAT(device_error([&] { backend->finish(); }), HasSubstr("NCCL finalize on rank"));
  backend->abort();
  EXPECT_EQ(fakes::nccl_live_communicators(), 0);
}

TEST(NcclBackend, FailedStartIsThrownOnEveryRank) {
  for (const char* what : {"unique_id:1", "init:1", "init:1@0"}) {
    const Injected injected(what);
    EXPECT_THAT(device_error([] { make_backend(); }), HasSubstr("injected error")) << what;
  }
  EXPECT_EQ(fakes::nccl_live_communicators(), 0);
}

TEST(NcclBackend, AbortEndsWithoutTheOthersAndIsFinal) {
  const auto backend = make_backend();
  backend->abort();
  backend->abort();
  EXPECT_EQ(fakes::nccl_live_communicators(), 0);
  EXPECT_THAT(device_error([&] { call_all(*backend); }), HasSubstr("was ended before"));
}

TEST(NcclBackend, RefusesCallsAfterItsFinish) {
  const auto backend = make_backend();
  backend->finish();
  EXPECT_THAT(device_error([&] { call_all(*backend); }), HasSubstr("was ended before"));
  EXPECT_THAT(device_error([&] { backend->check(); }), HasSubstr("was ended before"));
  EXPECT_THAT(device_error([&] { backend->finish(); }), HasSubstr("was ended before"));
}

/// The groups of a session: the world's, and that of every rank by itself.
class SessionGroups : public testing::Test {
 protected:
  void SetUp() override {
    groups_.emplace();
    groups_->add(MPI_COMM_WORLD, make_backend());
    groups_->add(MPI_COMM_SELF, make_nccl_backend(MPI_COMM_SELF, at::Device(at::kCPU)));
    EXPECT_EQ(fakes::nccl_live_communicators(), 2);
  }

  void TearDown() override {
    groups_.reset();
    EXPECT_EQ(fakes::nccl_live_communicators(), 0);
    EXPECT_EQ(finalized() - finalized_before_, finalized_expected_);
  }

  static int64_t finalized() { return fakes::nccl_operation_counts()["finalize"]; }

  std::optional<Groups> groups_;
  int64_t finalized_before_ = finalized();
  int64_t finalized_expected_ = 0;
};

TEST_F(SessionGroups, FinishEndsAllOnAllRanks) {
  groups_->finish();
  EXPECT_EQ(fakes::nccl_live_communicators(), 0);
  finalized_expected_ = 2;
}

TEST_F(SessionGroups, AbortAfterFinishHasNothingToEnd) {
  groups_->finish();
  groups_->abort();
  finalized_expected_ = 2;
}

TEST_F(SessionGroups, AbortMayBeCalledAgain) {
  groups_->abort();
  EXPECT_EQ(fakes::nccl_live_communicators(), 0);
  groups_->abort();
}

TEST_F(SessionGroups, DestroyedWithoutAnEndWaitForNobody) {
  // The first rank goes on only when the others have destroyed theirs: were it waited for, they
  // would never come.
  if (world(MPI_Comm_rank) != 0) groups_.reset();
  MPI_Barrier(MPI_COMM_WORLD);
}

TEST_F(SessionGroups, UnwindingEndsThem) {
  EXPECT_THROW(
      {
        Groups groups;
        groups.add(MPI_COMM_WORLD, make_backend());
        throw std::runtime_error("found while the others compute");
      },
      std::runtime_error);
  EXPECT_EQ(fakes::nccl_live_communicators(), 2);  // the fixture's own
}

TEST(NcclBackend, RefusesToReduceAHalfTypeInItsOwnPrecision) {
  const auto backend = make_backend();
  at::Tensor values = at::ones({3}, at::kBFloat16);
  EXPECT_THROW(backend->all_reduce(values, Reduction::kSum), std::logic_error);
}

/// Calls nccl functions directly, as no correct backend would.
class FakeNccl : public testing::Test {
 protected:
  void SetUp() override { EXPECT_EQ(init(true), ncclSuccess); }

  ncclResult_t init(bool blocking) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = blocking ? 1 : 0;
    ncclUniqueId id{};
    const ncclResult_t made = rank_ == 0 ? ncclGetUniqueId(&id) : ncclSuccess;
    MPI_Bcast(&id, sizeof(id), MPI_BYTE, 0, MPI_COMM_WORLD);
    EXPECT_EQ(made, ncclSuccess);
    return ncclCommInitRankConfig(&comm_, size_, id, rank_, &config);
  }

  ncclResult_t gather(size_t count) {
    return ncclAllGather(in_.data(), out_.data(), count, ncclFloat32, comm_, nullptr);
  }

  ncclResult_t add(size_t count, ncclDataType_t type = ncclFloat32,
                   ncclRedOp_t reduction = ncclSum) {
    return ncclAllReduce(in_.data(), out_.data(), count, type, reduction, comm_, nullptr);
  }

  int rank_ = world(MPI_Comm_rank);
  int size_ = world(MPI_Comm_size);
  int last_ = size_ - 1;
  ncclComm_t comm_ = nullptr;
  std::vector<float> in_ = std::vector<float>(64), out_ = std::vector<float>(64);
};

TEST_F(FakeNccl, RefusesWhatDiffersOverTheRanks) {
  if (size_ == 1) GTEST_SKIP() << "one rank cannot differ";
  const bool differs = rank_ == last_;
  EXPECT_EQ(gather(differs ? 3 : 4), ncclInvalidUsage);
  EXPECT_THAT(ncclGetLastError(comm_), HasSubstr("calls all_gather (count"));
  EXPECT_EQ(differs ? gather(4) : add(4), ncclInvalidUsage);
  EXPECT_EQ(add(4, differs ? ncclInt64 : ncclFloat32), ncclInvalidUsage);
  EXPECT_EQ(add(4, ncclFloat32, differs ? ncclMax : ncclSum), ncclInvalidUsage);
  EXPECT_EQ(gather(4), ncclSuccess);
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
}

TEST_F(FakeNccl, RefusesASendWithoutItsReceive) {
  EXPECT_EQ(ncclGroupStart(), ncclSuccess);
  EXPECT_EQ(ncclSend(in_.data(), 4, ncclUint8, (rank_ + 1) % size_, comm_, nullptr), ncclSuccess);
  EXPECT_EQ(ncclRecv(out_.data(), rank_ == last_ ? 5 : 4, ncclUint8, (rank_ + last_) % size_, comm_,
                     nullptr),
            ncclSuccess);
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
}

TEST_F(FakeNccl, RefusesAGroupLeftOpen) {
  EXPECT_EQ(ncclGroupStart(), ncclSuccess);
  EXPECT_EQ(gather(4), ncclInvalidUsage);
  EXPECT_EQ(ncclCommFinalize(comm_), ncclInvalidUsage);
  EXPECT_EQ(ncclGroupEnd(), ncclSuccess);
  EXPECT_EQ(ncclGroupEnd(), ncclInvalidUsage);
  EXPECT_EQ(ncclSend(in_.data(), 4, ncclUint8, 0, comm_, nullptr), ncclInvalidUsage);
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
}

TEST_F(FakeNccl, RefusesNullPointersAndStreams) {
  EXPECT_EQ(ncclAllGather(nullptr, out_.data(), 4, ncclFloat32, comm_, nullptr),
            ncclInvalidArgument);
  EXPECT_EQ(ncclAllGather(in_.data(), nullptr, 4, ncclFloat32, comm_, nullptr),
            ncclInvalidArgument);
  EXPECT_EQ(ncclAllGather(in_.data(), out_.data(), 4, ncclFloat32, nullptr, nullptr),
            ncclInvalidArgument);
  EXPECT_EQ(ncclAllGather(in_.data(), out_.data(), 4, ncclFloat32, comm_,
                          reinterpret_cast<cudaStream_t>(in_.data())),
            ncclInvalidArgument);
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
}

TEST_F(FakeNccl, RefusesUseAfterTheEndAndADisorderlyEnd) {
  EXPECT_EQ(ncclCommDestroy(comm_), ncclInvalidUsage);  // not finalized
  EXPECT_EQ(ncclCommFinalize(comm_), ncclSuccess);
  EXPECT_EQ(gather(4), ncclInvalidUsage);
  EXPECT_EQ(ncclCommDestroy(comm_), ncclSuccess);
  EXPECT_EQ(gather(4), ncclInvalidArgument);
  EXPECT_EQ(ncclCommDestroy(comm_), ncclInvalidArgument);
  EXPECT_EQ(ncclCommAbort(comm_), ncclInvalidArgument);
}

TEST_F(FakeNccl, RefusesAUniqueIdOfItsOwn) {
  if (size_ == 1) GTEST_SKIP() << "rank 0's id is its own";
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclUniqueId id{};
  EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess);  // on every rank, and not sent
  EXPECT_EQ(ncclCommInitRankConfig(&comm_, size_, id, rank_, &config), ncclInvalidUsage);
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
}

TEST_F(FakeNccl, RefusesTheNextCallBeforeTheLastHasSettled) {
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
  EXPECT_EQ(init(false), ncclInProgress);
  EXPECT_EQ(gather(4), ncclInvalidUsage);
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress) EXPECT_EQ(ncclCommGetAsyncError(comm_, &state), ncclSuccess);
  EXPECT_EQ(gather(4), ncclInProgress);
  EXPECT_EQ(ncclCommAbort(comm_), ncclSuccess);
}

}  // namespace
}  // namespace actsweep
