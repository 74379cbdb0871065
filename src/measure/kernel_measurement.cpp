// The measurement by vectorised kernels, on all threads of the rank.
//
// Each thread measures whole windows, i, i + threads, …; windows that do not come out even are
// shared by all threads, tile by tile. Which thread does what depends on the labels and the number
// of threads alone, and partial sums are added in thread order, so that the same job gives the same
// bits.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.h"
#include "measure/kernel_worker.h"
#include "measure/measurement.h"

namespace actsweep {

namespace {

class KernelMeasurement : public Measurement {
 public:
  KernelMeasurement(int64_t channels, int64_t top_k);
  void start(const SiteBatch& batch) override;
  const Measured& finish() override { return measured_; }

 private:
  void view_windows(const SiteBatch& batch);
  template <typename Work>
  void on_all_threads(Work work);
  void measure_windows();
  void measure_window_together(size_t window);
  void add_sums();

  /// Where the sums of a batch go: of all channels, and [classes, C].
  struct ChannelSums {
    double* fourth;
    float* max_magnitude;
    int64_t* above_6;
    double* class_sum;
    double* class_sum_square;
  };
  void add_channel(int64_t channel, const ChannelSums& sums);

  int64_t channels_;
  int64_t top_k_;
  int threads_ = 1;
  std::vector<KernelWorker> workers_;  // one a thread
  std::vector<WindowView> windows_;
  Measured measured_;
  KeyRange keys_;  // outside of which the measured histogram is zero
};

KernelMeasurement::KernelMeasurement(int64_t channels, int64_t top_k)
    : channels_(channels), top_k_(top_k) {
  ensure(channels > 0 && channels <= kernels::kMaxChannels, "channels fit the kernels' lanes");
  measured_.clear_sums(channels, at::kCPU);
}

void KernelMeasurement::start(const SiteBatch& batch) {
  ensure(batch.rows.is_cpu(), "kernels measure host tensors");
  threads_ = at::get_num_threads();
  while (static_cast<int>(workers_.size()) < threads_) workers_.emplace_back(channels_, top_k_);
  measured_.prepare_rows(*batch.labels, top_k_);
  view_windows(batch);
  measure_windows();
  add_sums();
}

void KernelMeasurement::view_windows(const SiteBatch& batch) {
  const OwnedRows& labels = *batch.labels;
  const float* rows = batch.rows.const_data_ptr<float>();
  windows_.clear();
  int64_t token = 0;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i) * labels.padded_length;
    WindowView view;
    view.rows = rows + row * channels_;
    view.token_class = labels.token_class.data() + row;
    view.length = labels.windows[i].length();
    view.first = {measured_.token_top_value.data() + token * top_k_,
                  measured_.token_top_channel.data() + token * top_k_,
                  measured_.token_median.data() + token, measured_.token_norm.data() + token};
    view.is_finite = measured_.is_finite.data() + token;
    windows_.push_back(view);
    token += view.length;
  }
}

/// A smaller team would leave windows out in silence.
template <typename Work>
void KernelMeasurement::on_all_threads(Work work) {
  int given = 0;
#pragma omp parallel num_threads(threads_)
  {
#pragma omp single
    given = omp_get_num_threads();
    work(omp_get_thread_num());
  }
  require(given == threads_, ErrorKind::kDevice,
          "OpenMP: asked for {} threads, got {}; OMP_THREAD_LIMIT and OMP_DYNAMIC may be the cause",
          threads_, given);
}

void KernelMeasurement::measure_windows() {
  const size_t threads = static_cast<size_t>(threads_);
  const size_t whole = windows_.size() / threads * threads;
  on_all_threads([&](int thread) {
    KernelWorker& worker = workers_[thread];
    worker.begin_batch();
    for (size_t i = static_cast<size_t>(thread); i < whole; i += threads) {
      measured_.sequence_median[i] = worker.measure_window(windows_[i]);
    }
  });
  for (size_t i = whole; i < windows_.size(); ++i) measure_window_together(i);
}

void KernelMeasurement::measure_window_together(size_t window) {
  const WindowView& view = windows_[window];
  KernelWorker& first = workers_[0];
  KernelWorker::MedianPlace place;
  on_all_threads([&](int thread) {
    KernelWorker& mine = workers_[thread];
    for (int64_t tile = thread; tile < tile_count(view); tile += threads_) {
      mine.measure_tile(view, tile);
    }
#pragma omp barrier
    const int64_t begin = kMagnitudeBins * thread / threads_;
    const int64_t end = kMagnitudeBins * (thread + 1) / threads_;
    for (int other = 1; other < threads_; ++other) {
      first.take_window_keys(workers_[other], begin, end);
    }
#pragma omp barrier
#pragma omp single
    {
      for (int other = 1; other < threads_; ++other) first.take_key_range(workers_[other]);
      place = first.finish_window_histogram();
    }
    mine.gather_at(view, place.key);
  });
  for (int other = 1; other < threads_; ++other) first.take_gathered(workers_[other]);
  measured_.sequence_median[window] = first.finish_window_median(place);
}

void KernelMeasurement::add_sums() {
  measured_.nonfinite_tokens = 0;
  measured_.class_count.zero_();
  int64_t* class_count = measured_.class_count.mutable_data_ptr<int64_t>();
  for (int thread = 0; thread < threads_; ++thread) {
    measured_.nonfinite_tokens += workers_[thread].nonfinite_tokens;
    for (int64_t c = 0; c < kClasses; ++c) class_count[c] += workers_[thread].class_count[c];
  }
  int64_t* histogram = measured_.histogram.mutable_data_ptr<int64_t>();
  const ChannelSums sums = {measured_.sum_fourth.mutable_data_ptr<double>(),
                            measured_.max_magnitude.mutable_data_ptr<float>(),
                            measured_.count_above_6.mutable_data_ptr<int64_t>(),
                            measured_.class_sum.mutable_data_ptr<double>(),
                            measured_.class_sum_square.mutable_data_ptr<double>()};
  KeyRange keys = std::exchange(keys_, {});  // those of the batch before become zero
  for (int thread = 0; thread < threads_; ++thread) keys_.widen(workers_[thread].keys);
  keys.widen(keys_);
#pragma omp parallel num_threads(threads_)
  {
#pragma omp for schedule(static)
    for (int64_t channel = 0; channel < channels_; ++channel) add_channel(channel, sums);
#pragma omp for schedule(static)
    for (int64_t bin = keys.first; bin < keys.end; ++bin) {
      histogram[bin] = 0;
      for (int thread = 0; thread < threads_; ++thread) {
        histogram[bin] += workers_[thread].histogram[bin];
      }
    }
  }
}

/// Adds the workers' sums of one channel, in thread order.
void KernelMeasurement::add_channel(int64_t channel, const ChannelSums& sums) {
  double fourth = 0;
  int32_t max_bits = 0;
  int64_t above_6 = 0;
  for (int thread = 0; thread < threads_; ++thread) {
    const KernelWorker& worker = workers_[thread];
    fourth += worker.sum_fourth[channel];
    max_bits = std::max(max_bits, worker.max_bits[channel]);
    above_6 += worker.count_above_6[channel];
  }
  sums.fourth[channel] = fourth;
  sums.max_magnitude[channel] = std::bit_cast<float>(max_bits);
  sums.above_6[channel] = above_6;
  for (int64_t at = channel; at < kClasses * channels_; at += channels_) {
    double sum = 0, square = 0;
    for (int thread = 0; thread < threads_; ++thread) {
      sum += workers_[thread].class_sum[at];
      square += workers_[thread].class_sum_square[at];
    }
    sums.class_sum[at] = sum;
    sums.class_sum_square[at] = square;
  }
}

}  // namespace

std::unique_ptr<Measurement> make_kernel_measurement(int64_t channels, int64_t top_k) {
  return std::make_unique<KernelMeasurement>(channels, top_k);
}

}  // namespace actsweep
