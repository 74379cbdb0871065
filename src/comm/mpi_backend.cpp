#include "comm/mpi_backend.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <limits>

#include "base/error.h"
#include "comm/session.h"

namespace actsweep {
namespace {

/// An MPI type of `bytes` bytes, so that counts stay small however large the message.
class BytesType {
 public:
  explicit BytesType(int64_t bytes) {
    ensure(bytes <= std::numeric_limits<int>::max(), "a row of a message has at most 2 GiB");
    check_mpi(MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &type_),
              "MPI_Type_contiguous");
    check_mpi(MPI_Type_commit(&type_), "MPI_Type_commit");
  }
  ~BytesType() { MPI_Type_free(&type_); }
  BytesType(const BytesType&) = delete;
  BytesType& operator=(const BytesType&) = delete;
  MPI_Datatype get() const { return type_; }

 private:
  MPI_Datatype type_ = MPI_DATATYPE_NULL;
};

/// One row of dimension 0 as the unit of a message, and the number of rows.
struct RowMessage {
  int count;
  BytesType type;
};

RowMessage rows_of(const at::Tensor& part, int64_t rows) {
  return {static_cast<int>(rows),
          BytesType(rows == 0 ? 0 : static_cast<int64_t>(part.nbytes()) / rows)};
}

template <typename T>
void add_parts(const at::Tensor& parts, at::Tensor& out, int members) {
  const int64_t n = out.numel();
  const T* part = parts.const_data_ptr<T>();
  float* sum = out.data_ptr<float>();
  at::parallel_for(0, n, 16384, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum[i] = static_cast<float>(part[i]);
    for (int member = 1; member < members; ++member) {
      const T* next = part + member * n;
      for (int64_t i = begin; i < end; ++i) sum[i] += static_cast<float>(next[i]);
    }
  });
}

class MpiBackend : public GroupBackend {
 public:
  explicit MpiBackend(MPI_Comm communicator)
      : communicator_(communicator), size_(size_of(communicator)) {}

  std::string name() const override { return "MPI"; }

  void all_gather(const at::Tensor& in, at::Tensor& out) override {
    const auto message = rows_of(in, in.size(0));
    check_mpi(
        MPI_Allgather(in.const_data_ptr(), message.count, message.type.get(),
                      out.mutable_data_ptr(), message.count, message.type.get(), communicator_),
        "MPI_Allgather");
  }

  void all_to_all(const at::Tensor& in, at::Tensor& out) override {
    exchange(in, out.mutable_data_ptr());
  }

  void reduce_scatter(const at::Tensor& in, at::Tensor& out) override {
    if (!parts_.defined() || parts_.nbytes() < in.nbytes()) {
      parts_ = at::empty({static_cast<int64_t>(in.nbytes())}, at::kByte);
    }
    exchange(in, parts_.mutable_data_ptr());
    const auto parts = at::from_blob(parts_.mutable_data_ptr(), in.sizes(), in.options());
    switch (in.scalar_type()) {
      case at::kFloat:
        return add_parts<float>(parts, out, size_);
      case at::kBFloat16:
        return add_parts<at::BFloat16>(parts, out, size_);
      case at::kHalf:
        return add_parts<at::Half>(parts, out, size_);
      default:
        ensure(false, "reduce_scatter adds float32, bfloat16 or float16");
    }
  }

  void all_reduce(at::Tensor& values, Reduction reduction) override {
    auto parts = at::empty({size_, values.numel()}, values.options());  // [m, n], rank order
    auto flat = values.view({1, values.numel()});
    all_gather(flat, parts);
    at::Tensor result = parts[0];
    for (int member = 1; member < size_; ++member) {
      if (reduction == Reduction::kSum) result = result.add_(parts[member]);
      if (reduction == Reduction::kMax) result = at::maximum(result, parts[member]);
      if (reduction == Reduction::kMin) result = at::minimum(result, parts[member]);
    }
    flat[0].copy_(result);
  }

 private:
  void exchange(const at::Tensor& in, void* out) {
    const auto message = rows_of(in, in.size(0));
    const int count = message.count / size_;
    check_mpi(MPI_Alltoall(in.const_data_ptr(), count, message.type.get(), out, count,
                           message.type.get(), communicator_),
              "MPI_Alltoall");
  }

  MPI_Comm communicator_;
  int size_;
  at::Tensor parts_;  // bytes; the exchanged pieces of a reduce_scatter, kept between calls
};

}  // namespace

std::shared_ptr<GroupBackend> make_mpi_backend(MPI_Comm communicator) {
  return std::make_shared<MpiBackend>(communicator);
}

}  // namespace actsweep
