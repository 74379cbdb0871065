// The work space of a forward pass: the buffers of one micro-batch, allocated once and used for
// every layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "checkpoint/architecture.h"
#include "weights/share.h"

namespace actsweep {

/// The lengths that decide a work space.
struct WorkspaceShape {
  int64_t owned_rows = 0;  // rows of the largest micro-batch that one rank owns
  int64_t members = 1;     // m
  at::ScalarType dtype = at::kFloat;

  int64_t gathered_rows() const { return owned_rows * members; }
};

/// Elements per gathered row of the wide buffers.
struct WorkspaceWidths {
  int64_t wide = 0;    // max(what a mixer projects; gate and up)
  int64_t heads = 0;   // the mixers' outputs, of two side by side that of both
  int64_t hidden = 0;  // the MLP's neurons
  /// Of heads and hidden: one buffer holds both, at the same time where the block is parallel.
  int64_t middle = 0;
};

WorkspaceWidths workspace_widths(const Architecture& architecture, const ModelShare& share);

/// Bytes of a Workspace, and of what the libraries that work on it keep beside.
int64_t workspace_bytes(const Architecture& architecture, const ModelShare& share,
                        const WorkspaceShape& shape);

/// Buffers for at most `owned_rows` rows; a smaller micro-batch takes views of their beginnings.
class Workspace {
 public:
  Workspace(const Architecture& architecture, const ModelShare& share, const WorkspaceShape& shape,
            at::Device device);

  at::Tensor normed(int64_t rows) const;               // [rows, C] dtype, owned rows
  at::Tensor gathered(int64_t rows) const;             // [m * rows, C] dtype; is `normed` at m = 1
  at::Tensor partial(int64_t rows) const;              // [m * rows, C] dtype; overwrites `gathered`
  at::Tensor sum(int64_t rows) const;                  // [rows, C] float32, owned rows; m > 1 only
  at::Tensor wide(int64_t rows, int64_t width) const;  // [m * rows, width] dtype
  /// [m * rows, width] dtype, behind so many elements of a gathered row.
  at::Tensor heads(int64_t rows, int64_t width, int64_t behind = 0) const;
  at::Tensor hidden(int64_t rows, int64_t width) const;  // [m * rows, width] dtype

 private:
  int64_t channels_;
  int64_t members_;
  int64_t hidden_offset_;  // elements of a gathered row that heads take before it
  at::Tensor normed_, gathered_, sum_, wide_, middle_;
};

}  // namespace actsweep
