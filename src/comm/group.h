// Process groups as values: collectives over tensors.
//
// Every method but check() is collective over the group: all members call it, in the same order,
// with tensors of the same type. A group of size 1 does nothing and gives its input back. Two
// backends: MPI for host tensors, NCCL for CUDA tensors on the current stream. Failures of a
// library become an Error (ErrorKind::kDevice): where the call itself fails, else at the next
// check(). Groups (groups.h) ends them.
#pragma once

#include <ATen/core/Tensor.h>
#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

namespace actsweep {

enum class Reduction { kSum, kMax, kMin };

/// What a backend implements; sizes are checked by Group. All tensors are contiguous. A backend
/// whose calls return when they are done has nothing in flight: nothing to check, and no end of its
/// own.
class GroupBackend {
 public:
  virtual ~GroupBackend() = default;
  virtual std::string name() const = 0;
  /// out [m * n, ...] = the members' in [n, ...] in rank order.
  virtual void all_gather(const at::Tensor& in, at::Tensor& out) = 0;
  /// out [n, ...] float32 = sum over members, in rank order, of part r of their in [m * n, ...].
  virtual void reduce_scatter(const at::Tensor& in, at::Tensor& out) = 0;
  /// out [m * n, ...]: part q is part r of member q's in [m * n, ...].
  virtual void all_to_all(const at::Tensor& in, at::Tensor& out) = 0;
  /// In place, element by element; sums of floats in rank order.
  virtual void all_reduce(at::Tensor& values, Reduction reduction) = 0;
  /// Throws Error(kDevice) if anything enqueued so far is known to have failed.
  virtual void check() {}
  /// What check() would say, for another thread: empty where nothing is known to have failed.
  virtual std::string trouble() { return {}; }
  /// Waits for all members, who do the same, and for what is enqueued; no call may follow but
  /// abort(). Throws as check() does.
  virtual void finish() {}
  /// Ends what is in flight and waits for nobody; no call may follow but abort().
  virtual void abort() noexcept {}
};

class Group {
 public:
  /// A group over the members of `communicator` (borrowed, must outlive the group).
  Group(MPI_Comm communicator, std::shared_ptr<GroupBackend> backend);

  int rank() const { return rank_; }
  int size() const { return size_; }
  MPI_Comm communicator() const { return communicator_; }
  std::string backend_name() const;

  /// [n, ...] -> [m * n, ...] in rank order; the input itself at size 1.
  at::Tensor all_gather(const at::Tensor& in, at::Tensor& out) const;
  /// [m * n, ...] -> [n, ...] float32, summed in float32 in rank order.
  void reduce_scatter(const at::Tensor& in, at::Tensor& out) const;
  /// [m * n, ...] -> [m * n, ...].
  void all_to_all(const at::Tensor& in, at::Tensor& out) const;
  void all_reduce(at::Tensor& values, Reduction reduction) const;
  /// The largest of the members' small status numbers, on the host. Always over MPI.
  int largest(int status) const;
  /// Throws if a collective that returned before is known to have failed on this member. The one
  /// method that members may call alone.
  void check() const;

 private:
  MPI_Comm communicator_;
  std::shared_ptr<GroupBackend> backend_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace actsweep
