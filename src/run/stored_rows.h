// Stored activations on their way from the taps to this rank's file of the segment: the rows of the
// store's tokens, as they are.
//
// Tokens that are known before the sweep are written as they come, layer by layer. Which tokens
// have an event is known only when the block has passed all layers: until then all rows of the
// block are kept, which `plan` counts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "job/token_sample.h"
#include "probe/tap.h"
#include "run/block_labels.h"
#include "run/segment_output.h"
#include "schema/event.h"

namespace actsweep {

class StoredRows {
 public:
  /// Both must outlive it. The job has a store.
  StoredRows(const SweepInputs& inputs, SegmentOutput& output);

  /// The labels must outlive the block.
  void begin_block(const BlockLabels& labels);
  /// The rows of a site; of one that is not stored nothing.
  void see(const Tap& tap);
  /// At the end of a block, whose own events these are.
  void end_block(std::span<const Event> events);

 private:
  /// Of one micro-batch.
  struct Chosen {
    at::Tensor rows;    // int64 on the host: which of the micro-batch's are taken
    int64_t first = 0;  // of them, in this rank's file
  };
  struct Kept {
    std::vector<std::vector<at::Tensor>> by_layer;  // [stored layer][micro-batch] [tokens, C]
  };

  void choose();
  int64_t place_of(const Tap& tap) const;
  at::Tensor taken(const Tap& tap, const at::Tensor& rows) const;
  at::Tensor selected(Kept& kept, const at::Tensor& tokens) const;

  const SweepInputs& inputs_;
  SegmentOutput& output_;
  TokenSample sample_;
  std::vector<int64_t> layers_;  // stored, in the order of the file
  const BlockLabels* labels_ = nullptr;
  std::vector<Chosen> chosen_;   // [micro-batch]
  std::vector<int64_t> tokens_;  // their numbers
  std::map<Site, Kept> kept_;    // of tokens that are not known yet
};

}  // namespace actsweep
