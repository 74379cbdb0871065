#include "comm/group.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "comm/session.h"

namespace actsweep {

Group::Group(MPI_Comm communicator, std::shared_ptr<GroupBackend> backend)
    : communicator_(communicator), backend_(std::move(backend)) {
  rank_ = rank_in(communicator_);
  size_ = size_of(communicator_);
}

std::string Group::backend_name() const { return backend_->name(); }

at::Tensor Group::all_gather(const at::Tensor& in, at::Tensor& out) const {
  if (size_ == 1) return in;
  ensure(in.is_contiguous() && out.is_contiguous(), "all_gather takes contiguous tensors");
  ensure(out.numel() == size_ * in.numel() && out.scalar_type() == in.scalar_type(),
         "all_gather's output is its input times the group");
  backend_->all_gather(in, out);
  return out;
}

void Group::reduce_scatter(const at::Tensor& in, at::Tensor& out) const {
  ensure(in.is_contiguous() && out.is_contiguous(), "reduce_scatter takes contiguous tensors");
  ensure(in.numel() == size_ * out.numel() && out.scalar_type() == at::kFloat,
         "reduce_scatter's input is its float32 output times the group");
  if (size_ == 1) {
    out.copy_(in);
    return;
  }
  backend_->reduce_scatter(in, out);
}

void Group::all_to_all(const at::Tensor& in, at::Tensor& out) const {
  ensure(in.is_contiguous() && out.is_contiguous(), "all_to_all takes contiguous tensors");
  ensure(
      in.sizes() == out.sizes() && in.scalar_type() == out.scalar_type() && in.size(0) % size_ == 0,
      "all_to_all's input and output are alike and divide over the group");
  if (size_ == 1) {
    out.copy_(in);
    return;
  }
  backend_->all_to_all(in, out);
}

void Group::all_reduce(at::Tensor& values, Reduction reduction) const {
  ensure(values.is_contiguous(), "all_reduce takes a contiguous tensor");
  if (size_ > 1) backend_->all_reduce(values, reduction);
}

int Group::largest(int status) const {
  if (size_ == 1) return status;
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, &status, 1, MPI_INT, MPI_MAX, communicator_),
            "MPI_Allreduce");
  return status;
}

void Group::check() const {
  if (size_ > 1) backend_->check();
}

}  // namespace actsweep
