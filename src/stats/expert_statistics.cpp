#include "stats/expert_statistics.h"

#include <ATen/ATen.h>

#include "stats/declare_statistics.h"

namespace actsweep {

ExpertStatistics::ExpertStatistics(const Extents& extents, at::Device device)
    : fields_(declare_experts(), extents, device) {}

void ExpertStatistics::update(const ExpertView& view,
                              const std::vector<GatheredSequence>& sequences) {
  auto count = fields_.layer("token_count", view.layer + 1).select(0, view.expert);
  auto largest = fields_.layer("max_output", view.layer + 1).select(0, view.expert);
  const auto magnitude = view.output.to(at::kFloat).abs().amax(1);  // [rows]
  for (const auto& sequence : sequences) {
    if (sequence.length == 0) continue;
    const auto is_mine = view.row.ge(sequence.first_row)
                             .logical_and_(view.row.lt(sequence.first_row + sequence.length));
    count.add_(is_mine.sum());
    largest.copy_(at::maximum(largest, magnitude.masked_fill(is_mine.logical_not(), 0).amax()));
  }
}

}  // namespace actsweep
