#include "run/segment_writer.h"

#include <utility>

#include "comm/agreement.h"
#include "plan/demand.h"

namespace actsweep {

SegmentWriter::SegmentWriter(const Group& group, const SegmentFolder& folder)
    : group_(group), folder_(folder), io_(static_cast<size_t>(kWriteQueueBytes)) {}

std::unique_ptr<SegmentOutput> SegmentWriter::begin_segment(int64_t number,
                                                            const std::vector<Dataset>& datasets,
                                                            const Extents& extents,
                                                            const RowPlace& place) {
  const SegmentPart part{number, group_.rank(), group_.size()};
  const auto own = segment_datasets(datasets);
  return std::make_unique<SegmentOutput>(io_, folder_, part,
                                         part.member == 0 ? own : shared_datasets(own), extents,
                                         part.members == 1 ? place : RowPlace{});
}

std::unique_ptr<SegmentOutput> SegmentWriter::begin_prompt(int64_t number,
                                                           const std::vector<Dataset>& datasets,
                                                           const Extents& extents) {
  if (group_.rank() != 0) return nullptr;
  return std::make_unique<SegmentOutput>(io_, folder_, SegmentPart{number}, datasets, extents);
}

std::vector<std::unique_ptr<SegmentOutput>> SegmentWriter::take_ready() {
  const int on_all = -group_.largest(-ready_);
  std::vector<std::unique_ptr<SegmentOutput>> ready;
  while (!waiting_.empty() && segments_ - static_cast<int>(waiting_.size()) < on_all) {
    ready.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return ready;
}

void SegmentWriter::commit_ready() {
  for (const auto& output : take_ready()) output->commit();
}

void SegmentWriter::commit(std::unique_ptr<SegmentOutput> output,
                           std::vector<RowCounts> of_microbatches) {
  io_.wait_until([&] { return ready_ == segments_; });  // the segments before
  commit_ready();
  output->finish(std::move(of_microbatches));
  if (group_.rank() != 0 || group_.size() == 1) output->commit();
  io_.submit(0, [this] { ++ready_; });
  ++segments_;
  if (group_.rank() == 0 && group_.size() > 1) waiting_.push_back(std::move(output));
}

void SegmentWriter::finish() {
  io_.wait_until([&] { return ready_ == segments_; });
  const auto ready = take_ready();
  agree(group_.communicator(), [&] {
    for (const auto& output : ready) output->commit_here();
    io_.drain();
  });
}

}  // namespace actsweep
