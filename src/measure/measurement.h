// What one pass over a micro-batch measures, from which the statistics take what they write.
//
// In: the owned rows of one micro-batch at one layer, with labels, and the slots of that layer.
// Out: rows per real token and per window on the host, and sums over the finite tokens, added into
// the slots. Three implementations give the same values (selections, medians and counts equal, sums
// to 1e-12): vectorised kernels on the host, CUDA kernels on a GPU, and ATen's operators on any
// device, which are the yardstick of the other two.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "corpus/window.h"
#include "measure/slots.h"

namespace actsweep {

inline constexpr uint32_t kNoIndex = 0xffffffff;  // channel or position where there is none

/// The rows of one micro-batch at one layer of a site.
struct SiteBatch {
  at::Tensor rows;  // [labels->row_count(), C] float32, contiguous, owned rows
  int64_t layer = 0;
  const OwnedRows* labels = nullptr;
  // Of the residual stream, for event_updates: the same rows before the layer, and between its
  // mixer and its MLP. Undefined for the embedding, and where nobody asks.
  at::Tensor before = {};
  at::Tensor between = {};
};

/// The rows of N real tokens and S windows in the order of the labels. A token with a value that is
/// not finite has NaN and kNoIndex in its rows and enters no sum; so do places of a top-k beyond
/// the number of channels.
struct Measured {
  std::vector<uint8_t> is_finite;      // [N]
  std::vector<float> token_top_value;  // [N, k] signed, by falling magnitude, then rising channel
  std::vector<uint32_t> token_top_channel;  // [N, k]
  std::vector<float> token_median;          // [N] lower median over channels of the magnitude
  std::vector<float> token_norm;            // [N]
  std::vector<float> sequence_median;       // [S] over finite tokens and channels; NaN without any

  /// Sets the lengths for the labels' tokens and windows, and all rows to those of a token that is
  /// not finite.
  void prepare_rows(const OwnedRows& labels, int64_t top_k);

  /// Of the labels: the rows of the real tokens that are finite, rising.
  std::vector<int64_t> finite_rows(const OwnedRows& labels) const;
};

/// The groups into which sums divide tokens: the classes, or for each role the classes.
int64_t group_count(const Slots& slots);
/// [labels.row_count()] the group of each row; the class is its remainder by kClasses.
std::vector<uint8_t> groups_of(const OwnedRows& labels, const Slots& slots);

class Measurement {
 public:
  virtual ~Measurement() = default;
  /// How many micro-batches may be started and not finished: more than one where the device goes on
  /// while the host takes the rows of the one before.
  virtual size_t depth() const { return 1; }
  /// What `slots` point to must stay where it is until the micro-batch is finished.
  virtual void start(const SiteBatch& batch, const Slots& slots) = 0;
  /// Of the micro-batch that was started first. The result lasts until depth() more are started.
  virtual const Measured& finish() = 0;
};

/// Vectorised kernels for host tensors, on at::get_num_threads() threads.
std::unique_ptr<Measurement> make_kernel_measurement(int64_t channels, int64_t top_k);
/// CUDA kernels for CUDA tensors; only in the build with CUDA.
std::unique_ptr<Measurement> make_cuda_measurement(int64_t channels, int64_t top_k);
/// ATen operators for tensors of any device.
std::unique_ptr<Measurement> make_aten_measurement(int64_t channels, int64_t top_k);

}  // namespace actsweep
