#include "weights/weight_store.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "weights/stage_list.h"

namespace actsweep {

WeightStore::WeightStore(const Checkpoint& checkpoint, const ModelShare& share,
                         const Options& options)
    : checkpoint_(checkpoint),
      options_(options),
      stages_(list_stages(checkpoint.rows(), checkpoint.architecture(), share, options.dtype,
                          options.with_head)),
      copy_stream_(options.device) {
  const bool is_resident = options_.mode == WeightMode::kResident;
  int64_t largest = 0;
  for (const auto& stage : stages_) {
    layouts_.emplace_back(checkpoint.rows(), checkpoint.architecture(), share, options.dtype,
                          stage);
    largest = std::max(largest, layouts_.back().bytes());
  }
  if (!options_.device.is_cpu()) staging_ = copy_stream_.pinned_buffer(largest);
  slots_.resize(is_resident ? stages_.size() : std::min<size_t>(2, stages_.size()));
  for (size_t i = 0; i < slots_.size(); ++i) {
    const int64_t bytes = is_resident ? layouts_[i].bytes() : largest;
    slots_[i].buffer =
        at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(options_.device));
    if (!is_resident) continue;
    load(slots_[i], static_cast<int64_t>(i));
    copy_stream_.finish_on_host();
    if (options_.on_loaded) options_.on_loaded(static_cast<int64_t>(i));
  }
}

WeightStore::~WeightStore() {
  if (reading_.valid()) reading_.wait();
}

Share WeightStore::stages_of(int64_t layer) const {
  const auto found = std::ranges::equal_range(stages_, layer, {}, &Stage::layer);
  return {found.begin() - stages_.begin(), found.end() - stages_.begin()};
}

void WeightStore::load(Slot& slot, int64_t stage) {
  const auto& layout = layouts_[stage];
  auto& host = staging_.defined() ? staging_ : slot.buffer;
  load_stage(checkpoint_, layout, stages_[stage].layer, host);
  if (staging_.defined()) {
    auto target = slot.buffer.narrow(0, 0, layout.bytes());
    copy_stream_.copy(staging_.narrow(0, 0, layout.bytes()), target);
  }
  slot.weights = StageWeights(layout, slot.buffer);
  slot.stage = stage;
}

WeightStore::Slot* WeightStore::slot_of(int64_t stage) {
  const auto found = std::find_if(slots_.begin(), slots_.end(),
                                  [&](const Slot& slot) { return slot.stage == stage; });
  return found == slots_.end() ? nullptr : &*found;
}

void WeightStore::wait_for_reading() {
  if (!reading_.valid()) return;
  const auto start = std::chrono::steady_clock::now();
  reading_.get();
  waited_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void WeightStore::start_reading(int64_t stage, int64_t current) {
  auto* slot = &slots_[0];
  if (slot->stage == current && slots_.size() > 1) slot = &slots_[1];
  slot->stage = -1;
  // The slot's last computation is enqueued by now; the copy into it waits for that.
  copy_stream_.wait_for_current();
  reading_ = std::async(std::launch::async, [this, slot, stage] {
    at::get_num_threads();  // ATen sets a new thread's OpenMP width at its first question
    if (options_.device.is_cpu()) omp_set_num_threads(1);  // the cores belong to the products
    load(*slot, stage);
    copy_stream_.finish_on_host();
  });
}

const StageWeights& WeightStore::acquire(int64_t stage, std::optional<int64_t> next) {
  wait_for_reading();
  if (slot_of(stage) == nullptr) {
    start_reading(stage, -1);
    wait_for_reading();
  }
  copy_stream_.finish_on_current();
  if (next && slot_of(*next) == nullptr) start_reading(*next, stage);
  return slot_of(stage)->weights;
}

}  // namespace actsweep
