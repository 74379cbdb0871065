// What a sweep demands: bytes per rank by purpose, bytes on disk. Pure arithmetic.
//
// In: the job, the architecture and its tensor rows, the windows, the declarations, a layout. Out:
// numbers. The same functions serve `actsweep plan`, the choice of the block size, and the table
// that `run` prints.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/architecture.h"
#include "checkpoint/tensor_rows.h"
#include "corpus/segments.h"
#include "job/job.h"
#include "schema/declare.h"
#include "weights/share.h"

namespace actsweep {

/// The tower of images in text.
struct TowerFacts {
  Architecture architecture;
  std::vector<TensorRow> rows;
  int64_t tokens_per_image = 0;
  int64_t images_together = 1;
  int64_t images = 0;  // of the corpus
};

/// What the demand depends on beside the layout.
struct SweepFacts {
  Job job;
  Architecture architecture;
  std::vector<TensorRow> rows;
  std::vector<Dataset> datasets;
  int64_t tokens = 0;     // measured
  int64_t sequences = 0;  // windows
  SegmentPlan segments;
  /// Whether products are taken of widened pieces: kernels/product_widened.h.
  bool widens_products = false;
  /// How weights are quantised in the checkpoint, and the bytes of all there; empty: they are not.
  std::string quantisation = {};
  int64_t stored_bytes = 0;
  /// Whether attention is measured in padded groups of sequences: on a GPU.
  bool pads_groups = false;
  std::optional<TowerFacts> tower = {};  // whole on each rank
};

/// Bytes that a rank on a GPU keeps on its host; none on a CPU, where all is the host's.
struct HostDemand {
  int64_t staging = 0;  // page-locked: weights on their way to the GPU
  int64_t rows = 0;     // rows and fields on their way from it, and what waits to be written
  int64_t total() const { return staging + rows; }
};

/// Bytes that the process of the rank with the largest share keeps for itself, where it computes.
struct MemoryDemand {
  int64_t weights = 0;
  int64_t residual = 0;  // of the original and of each variant, and copies of it
  int64_t workspace = 0;
  int64_t statistics = 0;   // fields, rows of a block, what waits to be written
  int64_t attention = 0;    // on a GPU, the next as well
  int64_t collectives = 0;  // NCCL's buffers: an estimate
  HostDemand host;
  int64_t total() const {
    return weights + residual + workspace + statistics + attention + collectives;
  }
};

struct DiskDemand {
  int64_t segments = 0;  // at most: they are compressed; until consolidation, or linked for good
  int64_t final = 0;     // of the sweep file, at most
  int64_t rows = 0;      // of them those of rows, in both unless they are linked
};

/// Bytes that wait to be written at most, per rank.
inline constexpr int64_t kWriteQueueBytes = 64ll << 20;

/// For model groups of `members` ranks with `threads` threads, and blocks of `block_windows`
/// windows.
MemoryDemand memory_demand(const SweepFacts& facts, int64_t members, int64_t threads,
                           int64_t block_windows);
DiskDemand disk_demand(const SweepFacts& facts);
/// Of one token in the store: its number, and its activations at all stored sites and layers.
int64_t stored_token_bytes(const SweepFacts& facts);
/// Bytes of all weights that the rank with this share loads in one pass.
int64_t loaded_bytes(const SweepFacts& facts, const ModelShare& share);
/// Lengths of the axes that are known before a sweep, for `tokens` tokens in `sequences` windows.
int64_t axis_length(const SweepFacts& facts, Axis axis);

}  // namespace actsweep
