// Knows CUDA only through current_stream and the device guard, so that tests run it on host tensors
// over a fake NCCL.
#include "comm/nccl_backend.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "comm/copy_stream.h"
#include "comm/nccl_communicator.h"
#include "comm/session.h"

namespace actsweep {
namespace {

/// What rank 0 sends: its result with its id, so that all members fail where it fails.
struct IdMessage {
  ncclResult_t result = ncclSuccess;
  ncclUniqueId id{};
};

/// Whether more may be put into an open group of calls.
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
  NcclBackend(const ncclUniqueId& id, const NcclCommunicator::Member& member)
      : communicator_(id, member), rank_(member.rank), size_(member.size) {}

  std::string name() const override { return "NCCL"; }
  void all_gather(const at::Tensor& in, at::Tensor& out) override;
  void reduce_scatter(const at::Tensor& in, at::Tensor& out) override;
  void all_to_all(const at::Tensor& in, at::Tensor& out) override;
  void all_reduce(at::Tensor& values, Reduction reduction) override;
  void check() override { communicator_.check(); }
  void finish() override { communicator_.finish(); }
  std::string trouble() override { return communicator_.trouble(); }
  void abort() noexcept override { communicator_.abort(); }

 private:
  void exchange(const at::Tensor& in, at::Tensor& out, const char* operation);
  void add_all(at::Tensor& values);

  NcclCommunicator communicator_;
  int rank_;
  int size_;
};

void NcclBackend::all_gather(const at::Tensor& in, at::Tensor& out) {
  if (in.numel() == 0) return;
  communicator_.run("all_gather", [&](ncclComm_t communicator) {
    return ncclAllGather(in.const_data_ptr(), out.mutable_data_ptr(), in.nbytes(), ncclUint8,
                         communicator, current_stream(in));
  });
}

/// The pieces go to their owners as they are, and are added there in rank order, in the type of
/// `out`. NCCL's own reduce-scatter adds in an order that follows rings and trees, so that bits would
/// follow the topology; and of a half type it rounds the partial sums at every rank, and overflows
/// float16 where activations are massive. As many bytes are sent.
void NcclBackend::reduce_scatter(const at::Tensor& in, at::Tensor& out) {
  if (in.numel() == 0) return;
  at::Tensor pieces = at::empty_like(in);  // [m * n, ...] in rank order
  exchange(in, pieces, "reduce_scatter");
  const auto parts = pieces.view({size_, -1});
  auto sum = out.view({-1});
  sum.copy_(parts[0]);
  for (int member = 1; member < size_; ++member) sum.add_(parts[member]);
}

void NcclBackend::all_to_all(const at::Tensor& in, at::Tensor& out) {
  if (in.numel() > 0) exchange(in, out, "all_to_all");
}

/// Piece p of `in` goes to rank p, as piece `rank_` of its `out`.
void NcclBackend::exchange(const at::Tensor& in, at::Tensor& out, const char* operation) {
  const size_t part_bytes = in.nbytes() / size_;
  const auto* sent = static_cast<const std::byte*>(in.const_data_ptr());
  auto* received = static_cast<std::byte*>(out.mutable_data_ptr());
  const cudaStream_t stream = current_stream(in);
  communicator_.run(operation, [&](ncclComm_t communicator) {
    ncclResult_t result = ncclGroupStart();
    for (int peer = 0; peer < size_ && is_good(result); ++peer) {
      const size_t offset = peer * part_bytes;
      result = ncclSend(sent + offset, part_bytes, ncclUint8, peer, communicator, stream);
      if (!is_good(result)) break;
      result = ncclRecv(received + offset, part_bytes, ncclUint8, peer, communicator, stream);
    }
    // The group is ended even after a failure: an open one would swallow the next operations.
    const ncclResult_t ended = ncclGroupEnd();
    return is_good(result) ? ended : result;
  });
}

void NcclBackend::all_reduce(at::Tensor& values, Reduction reduction) {
  const ncclDataType_t type = type_for_reduction(values);
  if (values.numel() == 0) return;
  if (reduction == Reduction::kSum && values.is_floating_point()) return add_all(values);
  communicator_.run("all_reduce", [&](ncclComm_t communicator) {
    return ncclAllReduce(values.const_data_ptr(), values.mutable_data_ptr(), values.numel(), type,
                         nccl_operator(reduction), communicator, current_stream(values));
  });
}

/// A sum of floats, in rank order: each member adds a part of it and hands that to all.
void NcclBackend::add_all(at::Tensor& values) {
  const int64_t count = values.numel();
  const int64_t part = (count + size_ - 1) / size_;
  auto padded = at::zeros({size_ * part}, values.options());
  padded.narrow(0, 0, count).copy_(values.view({-1}));
  auto sum = at::empty({part}, values.options());
  reduce_scatter(padded, sum);
  all_gather(sum, padded);
  values.view({-1}).copy_(padded.narrow(0, 0, count));
}

}  // namespace

std::shared_ptr<GroupBackend> make_nccl_backend(MPI_Comm communicator, at::Device device,
                                                std::chrono::milliseconds patience) {
  const int rank = rank_in(communicator), size = size_of(communicator);
  IdMessage message;
  if (rank == 0) message.result = ncclGetUniqueId(&message.id);
  check_mpi(MPI_Bcast(&message, sizeof(message), MPI_BYTE, 0, communicator),
            "MPI_Bcast of NCCL's unique id");
  require(message.result == ncclSuccess, ErrorKind::kDevice,
          "NCCL unique id on rank 0 of {}, told to rank {}: {} ({})", size, rank,
          ncclGetErrorString(message.result), ncclGetLastError(nullptr));
  return std::make_shared<NcclBackend>(message.id,
                                       NcclCommunicator::Member{rank, size, device, patience});
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
