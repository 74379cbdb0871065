// Rows on their way from the statistics to this rank's file of the segment: kept per dataset,
// written where the labels of the block say.
//
// Datasets on the token and sequence axes are written after every layer. Those on the row axis
// (per_token = "massive", lifecycles) are kept through the layers of a block, because only at its
// end is it known which tokens have an event. Stored activations have a way of their own:
// run/stored_rows.h.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "run/block_labels.h"
#include "run/segment_output.h"
#include "schema/event.h"
#include "stats/site_statistics.h"

namespace actsweep {

class RowCollector : public RowSink {
 public:
  /// The output must outlive the collector.
  RowCollector(SegmentOutput& output, const SweepFacts& facts);

  /// The labels must outlive the block; `columns` are those of its tokens and sequences.
  void begin_block(const BlockLabels& labels, const std::vector<Column>& columns);
  void append(const Dataset& dataset, std::span<const std::byte> values) override;
  /// Writes what was appended since the last flush as layer `layer`.
  void flush_layer(int64_t layer);
  /// At the end of a block: writes the kept rows of tokens with an event. `events` are the block's
  /// own.
  void flush_rows(std::span<const Event> events);

 private:
  struct Buffer {
    const Dataset* dataset = nullptr;
    int64_t item_bytes = 0;        // of one token or sequence
    int64_t variants = 1;          // along the variant axis
    std::vector<std::byte> fresh;  // since the last flush, micro-batch after micro-batch
    std::vector<std::vector<std::byte>> by_layer;  // kept, on the row axis; or by variant
  };

  Buffer& buffer_of(const std::string& path);
  void add_row_tokens();
  void keep_layer(Buffer& buffer);
  void write_layer(Buffer& buffer, int64_t layer);

  SegmentOutput& output_;
  SweepFacts facts_;
  const BlockLabels* labels_ = nullptr;
  std::map<std::string, Buffer> buffers_;
};

}  // namespace actsweep
