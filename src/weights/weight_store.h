// The weight store: makes the weights of one stage present, resident or streamed.
//
// Resident: all stages are loaded once and kept. Streamed: two stages at most are kept; while one
// computes the next is read on a thread of its own. On a GPU the read passes through a pinned
// buffer and a second stream.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "comm/copy_stream.h"
#include "weights/stage.h"

namespace actsweep {

class WeightStore {
 public:
  struct Options {
    Dtype dtype = Dtype::kFloat32;
    WeightMode mode = WeightMode::kResident;
    bool with_head = false;  // for the loss
    at::Device device = at::kCPU;
    std::function<void(int64_t stage)> on_loaded =
        {};  // after each stage that the constructor loads
  };

  /// Loads all stages in resident mode. `checkpoint` must outlive the store.
  WeightStore(const Checkpoint& checkpoint, const ModelShare& share, const Options& options);
  ~WeightStore();

  /// The stages of one pass over a block, in order; below they go by their places in it.
  const std::vector<Stage>& stages() const { return stages_; }
  /// The places of the stages of layer `layer` (0-based), or of the head's.
  Share stages_of(int64_t layer) const;
  /// Makes a stage present and starts reading `next`, if given. The weights stay valid until the
  /// next call.
  const StageWeights& acquire(int64_t stage, std::optional<int64_t> next);
  /// Seconds spent in `acquire` waiting for reads.
  double waited_s() const { return waited_s_; }

 private:
  struct Slot {
    int64_t stage = -1;
    at::Tensor buffer;  // [bytes] uint8 on the device
    StageWeights weights;
  };

  void load(Slot& slot, int64_t stage);
  void start_reading(int64_t stage, int64_t current);
  void wait_for_reading();
  Slot* slot_of(int64_t stage);

  const Checkpoint& checkpoint_;
  Options options_;
  std::vector<Stage> stages_;
  std::vector<StageLayout> layouts_;  // [stages]
  CopyStream copy_stream_;
  at::Tensor staging_;  // [bytes] uint8, pinned; undefined where the device is the CPU
  std::vector<Slot> slots_;
  std::future<void> reading_;
  double waited_s_ = 0;
};

}  // namespace actsweep
