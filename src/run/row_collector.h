// Rows on their way from the statistics to the segment file: kept per dataset, gathered at the
// writing rank, put into token order.
//
// Datasets on the token and sequence axes are flushed after every layer. Those on the row axis
// (per_token = "massive") are kept through the layers of a block, because only at its end is it
// known which tokens have an event.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "comm/group.h"
#include "run/block_labels.h"
#include "run/segment_output.h"
#include "schema/event.h"
#include "stats/site_statistics.h"

namespace actsweep {

class RowCollector : public RowSink {
 public:
  /// `output` is null on ranks that do not write. The labels must outlive the block.
  RowCollector(const Group& group, SegmentOutput* output, const SweepFacts& facts);

  void begin_block(const BlockLabels& labels);
  void append(const Dataset& dataset, std::span<const std::byte> values) override;
  /// Collective over the model group: writes what was appended since the last flush as layer
  /// `layer`.
  void flush_layer(int64_t layer);
  /// Collective over the model group, at the end of a block: writes the kept rows of tokens with an
  /// event. `events` are the block's own.
  void flush_rows(std::span<const Event> events);

 private:
  struct Buffer {
    const Dataset* dataset = nullptr;
    int64_t item_bytes = 0;        // of one token or sequence
    int64_t variants = 1;          // along the variant axis
    std::vector<std::byte> fresh;  // since the last flush, micro-batch after micro-batch
    std::vector<std::vector<std::byte>> by_layer;  // kept, on the row axis; or by variant
  };

  Buffer& buffer_of(const Dataset& dataset);
  /// Collective over the model group: the fresh values of these buffers, each in token order on the
  /// rank that writes, empty elsewhere.
  std::vector<std::vector<std::byte>> gather_fresh(const std::vector<Buffer*>& buffers);
  void write_layer(const Buffer& buffer, int64_t layer, std::vector<std::byte> values);
  std::vector<int64_t> selected_tokens(std::span<const Event> events,
                                       std::vector<int64_t>& counts) const;
  void write_rows(const std::vector<std::vector<std::byte>>& parts);

  const Group& group_;
  SegmentOutput* output_;
  SweepFacts facts_;
  const BlockLabels* labels_ = nullptr;
  std::map<std::string, Buffer> buffers_;
};

}  // namespace actsweep
