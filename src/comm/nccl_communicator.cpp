#include "comm/nccl_communicator.h"

#include <c10/core/DeviceGuard.h>

#include <thread>

#include "base/error.h"

namespace actsweep {
namespace {

using Clock = std::chrono::steady_clock;

/// To enqueue takes NCCL microseconds: so long it is asked without a pause. Peers that are late
/// take seconds.
constexpr std::chrono::milliseconds kWithoutPause(1);
constexpr std::chrono::milliseconds kPause(1);

}  // namespace

// What NCCL answers is not asked: nothing is left to be done about it.
void NcclCommunicator::Abort::operator()(ncclComm* communicator) const noexcept {
  ncclCommAbort(communicator);
}

NcclCommunicator::NcclCommunicator(const ncclUniqueId& id, const Member& member) : member_(member) {
  // NCCL binds a communicator to the CUDA device that is current here.
  const c10::DeviceGuard on_device(member.device);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t made = nullptr;
  const ncclResult_t result = ncclCommInitRankConfig(&made, member.size, id, member.rank, &config);
  communicator_.reset(made);
  settle(result, "init");
}

void NcclCommunicator::abort() noexcept {
  const std::lock_guard lock(mutex_);
  communicator_.reset();
}

void NcclCommunicator::run(const char* operation,
                           const std::function<ncclResult_t(ncclComm_t)>& call) {
  ncclResult_t result = ncclSuccess;
  {
    const std::lock_guard lock(mutex_);
    result = call(get(operation));
  }
  settle(result, operation);
}

ncclComm_t NcclCommunicator::get(const char* operation) const {
  require(communicator_ != nullptr && !has_failed_, ErrorKind::kDevice,
          "NCCL {} on rank {} of {}: the communicator {} before", operation, member_.rank,
          member_.size, has_failed_ ? "has failed" : "was ended");
  return communicator_.get();
}

void NcclCommunicator::settle(ncclResult_t result, const char* operation) {
  const ncclResult_t state = result == ncclInProgress ? wait_until_enqueued() : result;
  if (state == ncclSuccess) return;
  const std::lock_guard lock(mutex_);
  has_failed_ = true;
  fail(ErrorKind::kDevice, "{}", describe(state, operation));
}

ncclResult_t NcclCommunicator::ask() const {
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(communicator_.get(), &state);
  return asked == ncclSuccess ? state : asked;
}

/// ncclInProgress where patience has ended first.
ncclResult_t NcclCommunicator::wait_until_enqueued() const {
  const auto start = Clock::now();
  ncclResult_t state = ncclInProgress;
  while (state == ncclInProgress && Clock::now() - start < member_.patience) {
    const bool is_late = Clock::now() - start > kWithoutPause;
    is_late ? std::this_thread::sleep_for(kPause) : std::this_thread::yield();
    const std::lock_guard lock(mutex_);
    state = ask();
  }
  return state;
}

std::string NcclCommunicator::describe(ncclResult_t state, const char* operation) const {
  const std::chrono::duration<double> patience_s = member_.patience;
  const std::string reason =
      state == ncclInProgress
          ? fmt::format("still in progress after {} s; is a peer dead?", patience_s.count())
          : fmt::format("{} ({})", ncclGetErrorString(state),
                        ncclGetLastError(communicator_.get()));
  return fmt::format("NCCL {} on rank {} of {}, device {}: {}", operation, member_.rank,
                     member_.size, member_.device.str(), reason);
}

void NcclCommunicator::check() {
  run("check", [&](ncclComm_t) { return ask(); });
}

std::string NcclCommunicator::trouble() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || communicator_ == nullptr || has_failed_) return "";
  const ncclResult_t state = ask();
  const bool is_good = state == ncclSuccess || state == ncclInProgress;
  return is_good ? "" : describe(state, "watch");
}

void NcclCommunicator::finish() {
  run("finalize", [](ncclComm_t communicator) { return ncclCommFinalize(communicator); });
  const std::lock_guard lock(mutex_);
  const ncclResult_t destroyed = ncclCommDestroy(communicator_.release());
  const bool is_good = destroyed == ncclSuccess || destroyed == ncclInProgress;
  require(is_good, ErrorKind::kDevice, "{}", describe(destroyed, "destroy"));
}

}  // namespace actsweep
