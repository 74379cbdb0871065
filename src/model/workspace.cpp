#include "model/workspace.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/mixers.h"

namespace actsweep {

WorkspaceWidths workspace_widths(const Architecture& a, const ModelShare& share) {
  const auto [mixed, heads] = mixer_widths(a, share);
  const int64_t hidden = most_dense_neurons(share);
  return {std::max(mixed, a.is_gated ? 2 * hidden : 0), heads, hidden,
          a.is_parallel ? heads + hidden : std::max(heads, hidden)};
}

namespace {

/// Whether a mixer reads rows of its own, which are a multiple of the gathered ones.
bool scales_inputs(const Architecture& a) {
  return a.attention_input_scale != 1 || a.states.input_scale != 1;
}

/// Elements of a row beside the buffers: latents, and heads in their own widths before they are
/// placed.
int64_t latent_width(const Architecture& a, const ModelShare& share) {
  const auto& latent = a.latent;
  if (latent.key_value == 0) return 0;
  const int64_t keys = share.key_heads.size();
  const int64_t queries = latent.query + share.query_heads.size() * a.head_width;
  const int64_t made = keys * (a.head_width - latent.rotated + a.value_width);
  return std::max(queries, 2 * latent.key_value + latent.rotated + made);
}

}  // namespace

int64_t workspace_bytes(const Architecture& a, const ModelShare& share,
                        const WorkspaceShape& shape) {
  const auto widths = workspace_widths(a, share);
  const auto element = static_cast<int64_t>(elementSize(shape.dtype));
  int64_t bytes = shape.gathered_rows() * (a.channels + widths.wide + widths.middle) * element;
  // On a GPU attention returns its output in a tensor of its own before it is placed.
  bytes += shape.gathered_rows() * widths.heads * element;
  bytes += shape.gathered_rows() * latent_width(a, share) * element;
  if (!a.chunk.empty()) bytes += shape.gathered_rows() * widths.wide * element;  // of one chunk
  if (scales_inputs(a)) bytes += shape.gathered_rows() * a.channels * element;
  if (a.has_output_gate) bytes += 2 * shape.gathered_rows() * widths.heads * element;
  if (shape.members > 1) {
    bytes += shape.owned_rows * a.channels * (element + 4);  // normed, sum
    bytes += shape.gathered_rows() * a.channels * element;   // pieces of the reduce-scatter
  }
  if (a.experts.count > 0) {
    // What one expert makes of the rows where all choose it.
    bytes += shape.gathered_rows() * (2 * a.channels + 3 * a.experts.ffn_width) * element;
    bytes += shape.gathered_rows() * a.channels * 4;
  }
  return bytes;
}

Workspace::Workspace(const Architecture& a, const ModelShare& share, const WorkspaceShape& shape,
                     at::Device device)
    : channels_(a.channels), members_(shape.members) {
  const auto widths = workspace_widths(a, share);
  hidden_offset_ = a.is_parallel ? widths.heads : 0;
  const auto options = at::TensorOptions().dtype(shape.dtype).device(device);
  gathered_ = at::empty({shape.gathered_rows() * a.channels}, options);
  wide_ = at::empty({shape.gathered_rows() * widths.wide}, options);
  middle_ = at::empty({shape.gathered_rows() * widths.middle}, options);
  if (members_ == 1) return;
  normed_ = at::empty({shape.owned_rows * a.channels}, options);
  sum_ = at::empty({shape.owned_rows * a.channels}, options.dtype(at::kFloat));
}

at::Tensor Workspace::normed(int64_t rows) const {
  return (members_ == 1 ? gathered_ : normed_)
      .narrow(0, 0, rows * channels_)
      .view({rows, channels_});
}

at::Tensor Workspace::gathered(int64_t rows) const {
  return gathered_.narrow(0, 0, members_ * rows * channels_).view({members_ * rows, channels_});
}

at::Tensor Workspace::partial(int64_t rows) const { return gathered(rows); }

at::Tensor Workspace::sum(int64_t rows) const {
  return sum_.narrow(0, 0, rows * channels_).view({rows, channels_});
}

at::Tensor Workspace::wide(int64_t rows, int64_t width) const {
  return wide_.narrow(0, 0, members_ * rows * width).view({members_ * rows, width});
}

at::Tensor Workspace::heads(int64_t rows, int64_t width, int64_t behind) const {
  return middle_.narrow(0, members_ * rows * behind, members_ * rows * width)
      .view({members_ * rows, width});
}

at::Tensor Workspace::hidden(int64_t rows, int64_t width) const {
  return heads(rows, width, hidden_offset_);
}

}  // namespace actsweep
