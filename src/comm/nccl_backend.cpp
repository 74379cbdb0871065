// Knows CUDA only through current_stream and the device guard, so that tests run it on host tensors
// over a fake NCCL.
#include "comm/nccl_backend.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <nccl.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <thread>

#include "base/error.h"
#include "comm/copy_stream.h"
#include "comm/session.h"

namespace actsweep {
namespace {

using Clock = std::chrono::steady_clock;

/// What rank 0 sends: its result with its id, so that all members fail where it fails.
struct IdMessage {
  ncclResult_t result = ncclSuccess;
  ncclUniqueId id{};
};

bool is_good(ncclResult_t result) { return result == ncclSuccess || result == ncclInProgress; }

ncclDataType_t type_for_reduction(const at::Tensor& values) {
  const at::ScalarType type = values.scalar_type();
  ensure(type == at::kFloat || type == at::kDouble || type == at::kLong,
         "NCCL reduces float32, float64 or int64");
  if (type == at::kFloat) return ncclFloat32;
  return type == at::kDouble ? ncclFloat64 : ncclInt64;
}

ncclRedOp_t nccl_operator(Reduction reduction) {
  if (reduction == Reduction::kMax) return ncclMax;
  return reduction == Reduction::kMin ? ncclMin : ncclSum;
}

class NcclBackend : public GroupBackend {
 public:
  NcclBackend(const IdMessage& from_rank_0, int rank, int size, at::Device device,
              std::chrono::milliseconds patience);
  ~NcclBackend() override;
  NcclBackend(const NcclBackend&) = delete;
  NcclBackend& operator=(const NcclBackend&) = delete;

  std::string name() const override { return "NCCL"; }
  void all_gather(const at::Tensor& in, at::Tensor& out) override;
  void reduce_scatter(const at::Tensor& in, at::Tensor& out) override;
  void all_to_all(const at::Tensor& in, at::Tensor& out) override;
  void all_reduce(at::Tensor& values, Reduction reduction) override;
  void broadcast(at::Tensor& values, int root) override;
  void abort() override;

 private:
  void exchange(const at::Tensor& in, at::Tensor& out, const char* operation);
  void exchange_and_add(const at::Tensor& in, at::Tensor& out);
  void require_alive(const char* operation) const;
  void check(ncclResult_t result, const char* operation);
  std::string trouble_with(ncclResult_t result, const char* operation);

  ncclComm_t communicator_ = nullptr;  // null once aborted
  int rank_;
  int size_;
  at::Device device_;
  std::chrono::milliseconds patience_;
  int exceptions_at_start_ = std::uncaught_exceptions();
};

NcclBackend::NcclBackend(const IdMessage& from_rank_0, int rank, int size, at::Device device,
                         std::chrono::milliseconds patience)
    : rank_(rank), size_(size), device_(device), patience_(patience) {
  check(from_rank_0.result, "unique id");
  // NCCL binds a communicator to the CUDA device that is current here. It is non-blocking because a
  // blocking call waits for a dead peer for ever.
  const c10::DeviceGuard on_device(device);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  check(ncclCommInitRankConfig(&communicator_, size, from_rank_0.id, rank, &config), "init");
}

NcclBackend::~NcclBackend() {
  // Finalizing waits for the peers. While an exception unwinds this rank they may be waiting for an
  // operation that never comes.
  if (std::uncaught_exceptions() > exceptions_at_start_) abort();
  if (communicator_ == nullptr) return;
  const std::string trouble = trouble_with(ncclCommFinalize(communicator_), "finalize");
  if (!trouble.empty()) {
    spdlog::warn("{}", trouble);
    return;
  }
  const ncclResult_t destroyed = ncclCommDestroy(communicator_);
  if (!is_good(destroyed)) spdlog::warn("NCCL destroy: {}", ncclGetErrorString(destroyed));
}

void NcclBackend::require_alive(const char* operation) const {
  require(communicator_ != nullptr, ErrorKind::kDevice,
          "NCCL {} on rank {} of {}: the communicator was aborted before", operation, rank_, size_);
}

/// Throws unless the operation that returned `result` is fully enqueued and nothing before it has
/// failed.
void NcclBackend::check(ncclResult_t result, const char* operation) {
  const std::string trouble = trouble_with(result, operation);
  require(trouble.empty(), ErrorKind::kDevice, "{}", trouble);
}

/// Waits until `operation` is enqueued (until then the stream must not be used). Where it has
/// failed or `patience_` is over, aborts the communicator and says why; else the text is empty.
std::string NcclBackend::trouble_with(ncclResult_t result, const char* operation) {
  const Clock::time_point deadline = Clock::now() + patience_;
  ncclResult_t state = result;
  if (is_good(state) && communicator_ != nullptr) {
    ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
    while (asked == ncclSuccess && state == ncclInProgress && Clock::now() < deadline) {
      std::this_thread::yield();
      asked = ncclCommGetAsyncError(communicator_, &state);
    }
    if (asked != ncclSuccess) state = asked;
  }
  if (state == ncclSuccess) return {};
  const std::string reason =
      state == ncclInProgress
          ? fmt::format("still in progress after {} ms; is a peer dead?", patience_.count())
          : fmt::format("{} ({})", ncclGetErrorString(state), ncclGetLastError(communicator_));
  abort();
  return fmt::format("NCCL {} on rank {} of {}, device {}: {}", operation, rank_, size_,
                     device_.str(), reason);
}

void NcclBackend::all_gather(const at::Tensor& in, at::Tensor& out) {
  require_alive("all_gather");
  if (in.numel() == 0) return;
  check(ncclAllGather(in.const_data_ptr(), out.mutable_data_ptr(), in.nbytes(), ncclUint8,
                      communicator_, current_stream(in)),
        "all_gather");
}

void NcclBackend::reduce_scatter(const at::Tensor& in, at::Tensor& out) {
  require_alive("reduce_scatter");
  if (in.numel() == 0) return;
  if (in.scalar_type() != at::kFloat) return exchange_and_add(in, out);
  check(ncclReduceScatter(in.const_data_ptr(), out.mutable_data_ptr(), out.numel(), ncclFloat32,
                          ncclSum, communicator_, current_stream(in)),
        "reduce_scatter");
}

/// The reduce-scatter of a half type: its pieces go to their owners as they are, and are added
/// there in float32, in rank order. NCCL's own would round the partial sums at every rank, and
/// overflow float16 where activations are massive; a cast before it would double what is sent.
void NcclBackend::exchange_and_add(const at::Tensor& in, at::Tensor& out) {
  at::Tensor pieces = at::empty_like(in);  // [m * n, ...] in the half type, rank order
  exchange(in, pieces, "reduce_scatter");
  const auto parts = pieces.view({size_, -1});
  auto sum = out.view({-1});
  sum.copy_(parts[0]);
  for (int member = 1; member < size_; ++member) sum.add_(parts[member]);
}

void NcclBackend::all_to_all(const at::Tensor& in, at::Tensor& out) {
  require_alive("all_to_all");
  if (in.numel() == 0) return;
  exchange(in, out, "all_to_all");
}

/// Piece p of `in` goes to rank p, as piece `rank_` of its `out`.
void NcclBackend::exchange(const at::Tensor& in, at::Tensor& out, const char* operation) {
  const size_t part_bytes = in.nbytes() / size_;
  const auto* sent = static_cast<const std::byte*>(in.const_data_ptr());
  auto* received = static_cast<std::byte*>(out.mutable_data_ptr());
  const cudaStream_t stream = current_stream(in);
  ncclResult_t result = ncclGroupStart();
  for (int peer = 0; peer < size_ && is_good(result); ++peer) {
    const size_t offset = peer * part_bytes;
    result = ncclSend(sent + offset, part_bytes, ncclUint8, peer, communicator_, stream);
    if (!is_good(result)) break;
    result = ncclRecv(received + offset, part_bytes, ncclUint8, peer, communicator_, stream);
  }
  // The group is ended even after a failure: an open one would swallow the next operations.
  const ncclResult_t ended = ncclGroupEnd();
  check(is_good(result) ? ended : result, operation);
}

void NcclBackend::all_reduce(at::Tensor& values, Reduction reduction) {
  require_alive("all_reduce");
  const ncclDataType_t type = type_for_reduction(values);
  if (values.numel() == 0) return;
  check(ncclAllReduce(values.const_data_ptr(), values.mutable_data_ptr(), values.numel(), type,
                      nccl_operator(reduction), communicator_, current_stream(values)),
        "all_reduce");
}

void NcclBackend::broadcast(at::Tensor& values, int root) {
  require_alive("broadcast");
  if (values.numel() == 0) return;
  check(ncclBroadcast(values.const_data_ptr(), values.mutable_data_ptr(), values.nbytes(),
                      ncclUint8, root, communicator_, current_stream(values)),
        "broadcast");
}

void NcclBackend::abort() {
  if (communicator_ == nullptr) return;
  ncclCommAbort(communicator_);
  communicator_ = nullptr;
}

}  // namespace

std::shared_ptr<GroupBackend> make_nccl_backend(MPI_Comm communicator, at::Device device,
                                                std::chrono::milliseconds patience) {
  int rank = 0;
  int size = 0;
  check_mpi(MPI_Comm_rank(communicator, &rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(communicator, &size), "MPI_Comm_size");
  IdMessage message;
  if (rank == 0) message.result = ncclGetUniqueId(&message.id);
  check_mpi(MPI_Bcast(&message, sizeof(message), MPI_BYTE, 0, communicator),
            "MPI_Bcast of NCCL's unique id");
  return std::make_shared<NcclBackend>(message, rank, size, device, patience);
}

std::string nccl_version() {
  int code = 0;  // 22907 is 2.29.7
  require(ncclGetVersion(&code) == ncclSuccess, ErrorKind::kDevice,
          "NCCL does not tell its version");
  return fmt::format("{}.{}.{}", code / 10000, code / 100 % 100, code % 100);
}

std::string cuda_driver_version() {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess || version == 0) return "none";
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace actsweep
