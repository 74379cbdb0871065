// From a rank's slice of all gathered rows to the whole rows that it owns.
//
// In: [m n, width of the rank's heads or neurons], the gathered rows of a model group of m ranks;
// or whole rows that are the same on every rank. Out: [n, all channels] float32, this rank's rows
// with every member's part in order; a key/value head that two ranks hold is taken from the first
// of them. And back to where they came from.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/group.h"
#include "probe/site.h"
#include "weights/share.h"

namespace actsweep {

class OwnRows {
 public:
  /// Both must outlive it.
  OwnRows(const Architecture& architecture, const Group& group);

  /// Collective over the model group. What it gives is overwritten by a later call once nobody
  /// holds it.
  at::Tensor take(Site site, int64_t layer, const at::Tensor& rows);
  /// Collective over the model group. Writes `whole`, which `take` gave of `rows`, over them.
  void give_back(Site site, int64_t layer, const at::Tensor& whole, const at::Tensor& rows) const;

 private:
  /// Columns of a member's slice.
  struct Part {
    int64_t first = 0;  // those before repeat another member's
    int64_t end = 0;
  };
  Part part_of(Site site, int64_t layer, int member) const;
  at::Tensor exchange(Site site, int64_t layer, const at::Tensor& rows) const;
  void exchange_back(Site site, int64_t layer, const at::Tensor& whole,
                     const at::Tensor& rows) const;
  int64_t widest_part(Site site, int64_t layer) const;
  at::Tensor widen(const at::Tensor& rows);

  const Architecture& a_;
  const Group& group_;
  std::vector<ModelShare> shares_;  // [m]
  at::Tensor widened_;              // float32 values of a host's rows of another type
};

}  // namespace actsweep
