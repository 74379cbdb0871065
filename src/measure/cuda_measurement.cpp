// The measurement by CUDA kernels, for tensors of a GPU.
//
// The host waits once: for the rows of the tokens, when a micro-batch is finished; by then the next
// one is enqueued. Which token is finite is known to the kernels alone until then. Work space of
// windows is bounded by measuring some at a time.
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "measure/measure_kernels.h"
#include "measure/measurement.h"
#include "schema/declare.h"

namespace actsweep {
namespace {

constexpr int64_t kWindowsTogether = 256;  // 134 MB of work space

/// Pieces of one buffer, each at a multiple of 16 bytes.
class Pieces {
 public:
  template <typename T>
  int64_t add(int64_t count) {
    const int64_t at = bytes_;
    bytes_ += (count * static_cast<int64_t>(sizeof(T)) + 15) / 16 * 16;
    return at;
  }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_ = 0;
};

template <typename T>
T* piece_of(const at::Tensor& buffer, int64_t at) {
  return reinterpret_cast<T*>(static_cast<std::byte*>(buffer.data_ptr()) + at);
}

/// What the kernels are told of the real tokens, all in one buffer.
struct TokenLists {
  int64_t tokens = 0;
  int64_t runs = 0;
  int64_t windows = 0;
  int64_t row = 0;  // places in the buffer: int32 each
  int64_t order = 0;
  int64_t run_begin = 0;
  int64_t run_group = 0;
  int64_t window_begin = 0;
  std::vector<int32_t> length;  // of each window
  at::Tensor buffer;            // on the device
};

/// A micro-batch on the device, once its tokens are measured.
struct MeasuredTokens {
  cuda::TokenRows rows;
  const TokenLists& lists;
  const uint8_t* is_finite = nullptr;  // [tokens]
  cudaStream_t stream = nullptr;
};

at::TensorOptions bytes_on(at::Device device) {
  return at::TensorOptions().dtype(at::kByte).device(device);
}

void sum_channels(const MeasuredTokens& tokens, const Slots& slots) {
  const auto& [rows, lists, is_finite, stream] = tokens;
  Pieces pieces;
  const int64_t values = lists.runs * rows.channels;
  const int64_t sum = pieces.add<double>(values), square = pieces.add<double>(values);
  const int64_t fourth = pieces.add<double>(values), largest = pieces.add<float>(values);
  const int64_t above = pieces.add<int32_t>(values), count = pieces.add<int32_t>(lists.runs);
  const auto work = at::empty({pieces.bytes()}, bytes_on(lists.buffer.device()));
  cuda::sum_channels(rows,
                     {piece_of<int32_t>(lists.buffer, lists.order),
                      piece_of<int32_t>(lists.buffer, lists.run_begin),
                      piece_of<int32_t>(lists.buffer, lists.run_group), kClasses, lists.runs,
                      is_finite},
                     {piece_of<double>(work, sum), piece_of<double>(work, square),
                      piece_of<double>(work, fourth), piece_of<float>(work, largest),
                      piece_of<int32_t>(work, above), piece_of<int32_t>(work, count)},
                     slots, stream);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

/// The medians of the windows to `median` [windows], their histograms added to `histogram`.
void measure_windows(const MeasuredTokens& tokens, float* median, int64_t* histogram) {
  const auto& [rows, lists, is_finite, stream] = tokens;
  const int64_t together = std::min(kWindowsTogether, lists.windows);
  const auto options = at::TensorOptions(lists.buffer.device());
  for (int64_t first = 0; first < lists.windows; first += together) {
    const int64_t windows = std::min(together, lists.windows - first);
    const auto work = at::zeros({windows, kMagnitudeBins}, options.dtype(at::kLong));
    const auto low = at::zeros({windows, cuda::kLowBins}, options.dtype(at::kInt));
    const auto bin = at::empty({windows}, options.dtype(at::kInt));
    const auto rank = at::empty({windows}, options.dtype(at::kLong));
    const auto longest =
        std::max_element(lists.length.begin() + first, lists.length.begin() + first + windows);
    cuda::measure_windows(
        rows,
        {piece_of<int32_t>(lists.buffer, lists.window_begin) + first, windows, *longest, is_finite},
        {reinterpret_cast<unsigned long long*>(work.data_ptr()),
         reinterpret_cast<uint32_t*>(low.data_ptr()), reinterpret_cast<uint32_t*>(bin.data_ptr()),
         reinterpret_cast<unsigned long long*>(rank.data_ptr())},
        kMagnitudeBins, median + first, histogram, stream);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  }
}

class CudaMeasurement : public Measurement {
 public:
  CudaMeasurement(int64_t channels, int64_t top_k) : channels_(channels), top_k_(top_k) {}
  size_t depth() const override { return batches_.size(); }
  void start(const SiteBatch& batch, const Slots& slots) override;
  const Measured& finish() override;

 private:
  /// Where the rows of the tokens lie in the buffer that goes to the host.
  struct Columns {
    int64_t value, channel, median, norm, is_finite, window_median, bytes;
  };

  TokenLists list_tokens(const OwnedRows& labels, const Slots& slots, at::Device device) const;
  Columns place_columns(const TokenLists& lists) const;
  struct Batch {
    Measured measured;
    at::Tensor rows;  // of the tokens, on their way to the host
    Columns places;
    int64_t tokens = 0;
    at::cuda::CUDAEvent arrived;
  };
  void take_rows(Batch& batch) const;

  int64_t channels_;
  int64_t top_k_;
  std::array<Batch, 2> batches_;
  size_t started_ = 0;
  size_t finished_ = 0;
};

/// [bytes] on the host, page-locked: copies of it need not wait.
at::Tensor host_buffer(int64_t bytes) {
  return at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
}

void CudaMeasurement::start(const SiteBatch& batch, const Slots& slots) {
  ensure(batch.rows.is_cuda(), "CUDA kernels measure CUDA tensors");
  const auto device = batch.rows.device();
  const c10::DeviceGuard on_device(device);
  const auto current = c10::cuda::getCurrentCUDAStream(device.index());
  const cudaStream_t stream = current.stream();
  auto& started = batches_[started_++ % batches_.size()];
  started.measured.prepare_rows(*batch.labels, top_k_);
  const auto lists = list_tokens(*batch.labels, slots, device);
  const auto places = place_columns(lists);
  const auto results = at::empty({places.bytes}, bytes_on(device));
  const cuda::TokenRows rows = {batch.rows.const_data_ptr<float>(), channels_,
                                piece_of<int32_t>(lists.buffer, lists.row), lists.tokens};
  cuda::measure_tokens(
      rows,
      {piece_of<float>(results, places.value), piece_of<uint32_t>(results, places.channel),
       piece_of<float>(results, places.median), piece_of<float>(results, places.norm),
       piece_of<uint8_t>(results, places.is_finite), static_cast<int>(top_k_)},
      stream);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  const MeasuredTokens tokens = {rows, lists, piece_of<uint8_t>(results, places.is_finite), stream};
  sum_channels(tokens, slots);
  measure_windows(tokens, piece_of<float>(results, places.window_median),
                  slots.magnitude_histogram);
  started.places = places;
  started.tokens = lists.tokens;
  started.rows = host_buffer(places.bytes);
  started.rows.copy_(results, /*non_blocking=*/true);
  started.arrived.record(current);
}

const Measured& CudaMeasurement::finish() {
  auto& first = batches_[finished_++ % batches_.size()];
  first.arrived.synchronize();
  take_rows(first);
  return first.measured;
}

TokenLists CudaMeasurement::list_tokens(const OwnedRows& labels, const Slots& slots,
                                        at::Device device) const {
  std::vector<int32_t> row, window_begin = {0}, length;
  const auto group = groups_of(labels, slots);
  std::vector<std::vector<int32_t>> of_group(group_count(slots));
  for (size_t window = 0; window < labels.windows.size(); ++window) {
    const int64_t first = static_cast<int64_t>(window) * labels.padded_length;
    length.push_back(static_cast<int32_t>(labels.windows[window].length()));
    for (int64_t i = first; i < first + length.back(); ++i) {
      of_group.at(group[i]).push_back(static_cast<int32_t>(row.size()));
      row.push_back(static_cast<int32_t>(i));
    }
    window_begin.push_back(static_cast<int32_t>(row.size()));
  }
  std::vector<int32_t> order, run_begin, run_group;
  for (size_t number = 0; number < of_group.size(); ++number) {
    const auto& tokens = of_group[number];
    for (size_t i = 0; i < tokens.size(); i += cuda::kRunTokens) {
      run_begin.push_back(static_cast<int32_t>(order.size() + i));
      run_group.push_back(static_cast<int32_t>(number));
    }
    order.insert(order.end(), tokens.begin(), tokens.end());
  }
  run_begin.push_back(static_cast<int32_t>(order.size()));

  TokenLists lists;
  Pieces pieces;
  const auto place = [&](const std::vector<int32_t>& list) {
    return pieces.add<int32_t>(static_cast<int64_t>(list.size()));
  };
  lists.tokens = static_cast<int64_t>(row.size());
  lists.runs = static_cast<int64_t>(run_group.size());
  lists.windows = static_cast<int64_t>(length.size());
  lists.row = place(row);
  lists.order = place(order);
  lists.run_begin = place(run_begin);
  lists.run_group = place(run_group);
  lists.window_begin = place(window_begin);
  auto host = host_buffer(pieces.bytes());
  const auto fill = [&](int64_t at, const std::vector<int32_t>& list) {
    std::copy(list.begin(), list.end(), piece_of<int32_t>(host, at));
  };
  fill(lists.row, row);
  fill(lists.order, order);
  fill(lists.run_begin, run_begin);
  fill(lists.run_group, run_group);
  fill(lists.window_begin, window_begin);
  lists.length = std::move(length);
  lists.buffer = host.to(device, /*non_blocking=*/true);
  return lists;
}

CudaMeasurement::Columns CudaMeasurement::place_columns(const TokenLists& lists) const {
  Pieces pieces;
  Columns places{};
  places.value = pieces.add<float>(lists.tokens * top_k_);
  places.channel = pieces.add<uint32_t>(lists.tokens * top_k_);
  places.median = pieces.add<float>(lists.tokens);
  places.norm = pieces.add<float>(lists.tokens);
  places.is_finite = pieces.add<uint8_t>(lists.tokens);
  places.window_median = pieces.add<float>(lists.windows);
  places.bytes = pieces.bytes();
  return places;
}

/// Fills the rows of the tokens that are finite; the others have their values already.
void CudaMeasurement::take_rows(Batch& batch) const {
  auto& to = batch.measured;
  const auto& places = batch.places;
  const auto* is_finite = piece_of<uint8_t>(batch.rows, places.is_finite);
  const auto* value = piece_of<float>(batch.rows, places.value);
  const auto* channel = piece_of<uint32_t>(batch.rows, places.channel);
  const auto* median = piece_of<float>(batch.rows, places.median);
  const auto* norm = piece_of<float>(batch.rows, places.norm);
  std::copy_n(is_finite, batch.tokens, to.is_finite.begin());
  const auto take = [&](int64_t first, int64_t count) {
    const int64_t place = first * top_k_;
    std::copy_n(value + place, count * top_k_, to.token_top_value.begin() + place);
    std::copy_n(channel + place, count * top_k_, to.token_top_channel.begin() + place);
    std::copy_n(median + first, count, to.token_median.begin() + first);
    std::copy_n(norm + first, count, to.token_norm.begin() + first);
  };
  if (std::find(is_finite, is_finite + batch.tokens, 0) == is_finite + batch.tokens) {
    take(0, batch.tokens);
  } else {
    for (int64_t token = 0; token < batch.tokens; ++token) {
      if (is_finite[token] != 0) take(token, 1);
    }
  }
  std::copy_n(piece_of<float>(batch.rows, places.window_median), to.sequence_median.size(),
              to.sequence_median.begin());
}

}  // namespace

std::unique_ptr<Measurement> make_cuda_measurement(int64_t channels, int64_t top_k) {
  return std::make_unique<CudaMeasurement>(channels, top_k);
}

}  // namespace actsweep
