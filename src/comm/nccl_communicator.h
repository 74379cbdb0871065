// One communicator of NCCL, from its start to one of its two ends.
//
// It is non-blocking (config.blocking = 0): a blocking call waits for a dead peer for ever. NCCL
// then answers ncclInProgress, goes on in a thread of its own, and until it is ready neither the
// communicator nor the stream of the call may be used: settle() waits for that. What fails later,
// on the device or the network, only check() brings to light.
// Refuses (ErrorKind::kDevice) what NCCL reports and what takes longer than `patience`, naming
// rank, size and device; after that, and after its end, every call but abort().
#pragma once

#include <ATen/core/Tensor.h>
#include <nccl.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

namespace actsweep {

class NcclCommunicator {
 public:
  /// A member's place, and how long it waits for the others.
  struct Member {
    int rank;
    int size;
    at::Device device;
    std::chrono::milliseconds patience;
  };

  /// Collective over all members that hold `id`: waits until all are here.
  NcclCommunicator(const ncclUniqueId& id, const Member& member);

  /// Calls NCCL, which `operation` names in errors, and returns once what was called is enqueued.
  /// Throws if it cannot be.
  void run(const char* operation, const std::function<ncclResult_t(ncclComm_t)>& call);
  /// Throws if an operation is known to have failed since it was enqueued. Waits for none.
  void check();
  /// The same for another thread, in words; empty where nothing is known, or where this moment a
  /// call is under way.
  std::string trouble();
  /// Collective: waits until all operations are done and all members are here, then ends.
  void finish();
  /// Ends at once, and with it the operations in flight. Waits for nobody.
  void abort() noexcept;

 private:
  struct Abort {
    void operator()(ncclComm* communicator) const noexcept;
  };

  ncclComm_t get(const char* operation) const;
  void settle(ncclResult_t result, const char* operation);
  ncclResult_t ask() const;
  ncclResult_t wait_until_enqueued() const;
  std::string describe(ncclResult_t state, const char* operation) const;

  Member member_;
  mutable std::mutex mutex_;                       // a communicator is used by one thread at a time
  std::unique_ptr<ncclComm, Abort> communicator_;  // null once it has ended
  bool has_failed_ = false;
};

}  // namespace actsweep
