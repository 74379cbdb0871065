// Where a rank's bytes lie: on a CPU all on the host, on a GPU a part on either; and what a GPU's
// memory holds beside the sweep's own tensors.
#pragma once

#include <cstdint>

#include "model/workspace.h"
#include "plan/demand.h"
#include "weights/share.h"

namespace actsweep {

/// NCCL's buffers for each other rank of a model group, an estimate: 4 MiB (NCCL_BUFFSIZE's
/// default) in each of 32 channels, both ways.
inline constexpr int64_t kNcclPeerBytes = 2 * 32 * (4ll << 20);
int64_t collective_bytes(int64_t members);

/// What attention takes by ATen's operators beside its rows: scores of a chunk in float32, where
/// the softmax is written out, or the mask of a window.
int64_t attention_bytes(const SweepFacts& facts, const ModelShare& share,
                        const WorkspaceShape& shape);

/// Of a page-locked buffer: PyTorch's allocator rounds up to a power of two.
int64_t page_locked_bytes(int64_t bytes);

/// Fields and rows of a rank, and what waits to be written, in bytes.
struct RowsAndFields {
  int64_t fields;
  int64_t layer_rows;  // of one layer of a block
  int64_t event_rows;  // of tokens with an event, kept through all layers, because only then is it
                       // known which they are
  int64_t store;
};

/// On a CPU: fields, one copy on its way to the file, and each thread's part of one layer's; a
/// layer's rows here, on their way to the writer, and there.
void add_to_cpu(const RowsAndFields& all, int64_t threads, int64_t layers, MemoryDemand& demand);
/// On a GPU fields are kept and a layer's rows are made; all else lies on the host.
void add_to_gpu(const RowsAndFields& all, int64_t layers, MemoryDemand& demand);

}  // namespace actsweep
