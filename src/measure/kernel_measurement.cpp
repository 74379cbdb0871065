// The measurement by vectorised kernels, on all threads of the rank.
//
// Each thread measures whole windows, i, i + threads, …; windows that do not come out even are
// shared by all threads, tile by tile. Which thread does what depends on the labels and the number
// of threads alone, and partial sums are added in thread order, those of a micro-batch to the slots
// at its end, so that the same job gives the same bits.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <bit>

#include "base/error.h"
#include "measure/kernel_worker.h"
#include "measure/measurement.h"

namespace actsweep {

namespace {

class KernelMeasurement : public Measurement {
 public:
  KernelMeasurement(int64_t channels, int64_t top_k);
  void start(const SiteBatch& batch, const Slots& slots) override;
  const Measured& finish() override { return measured_; }

 private:
  void view_windows(const SiteBatch& batch, const Slots& slots);
  template <typename Work>
  void on_all_threads(Work work);
  void measure_windows();
  void measure_window_together(size_t window);
  void add_sums(const Slots& slots);
  void add_tokens(const Slots& slots);
  void add_channel(int64_t channel, const Slots& slots);
  /// One of the workers' sums, in thread order.
  template <typename Sum, typename Sums>
  Sum over_workers(Sums KernelWorker::*sums, int64_t at) const;
  float largest_magnitude(int64_t channel) const;

  int64_t channels_;
  int64_t top_k_;
  int64_t groups_ = kClasses;
  int threads_ = 1;
  std::vector<KernelWorker> workers_;  // one a thread
  std::vector<uint8_t> group_;  // of each row
  std::vector<WindowView> windows_;
  Measured measured_;
};

template <typename T>
void add_to(T* slot, int64_t at, T sum) {
  if (slot != nullptr) slot[at] += sum;
}

KernelMeasurement::KernelMeasurement(int64_t channels, int64_t top_k)
    : channels_(channels), top_k_(top_k) {
  ensure(channels > 0 && channels <= kernels::kMaxChannels, "channels fit the kernels' lanes");
}

void KernelMeasurement::start(const SiteBatch& batch, const Slots& slots) {
  ensure(batch.rows.is_cpu(), "kernels measure host tensors");
  threads_ = at::get_num_threads();
  while (static_cast<int>(workers_.size()) < threads_) workers_.emplace_back(channels_, top_k_);
  measured_.prepare_rows(*batch.labels, top_k_);
  view_windows(batch, slots);
  measure_windows();
  add_sums(slots);
}

void KernelMeasurement::view_windows(const SiteBatch& batch, const Slots& slots) {
  const OwnedRows& labels = *batch.labels;
  const float* rows = batch.rows.const_data_ptr<float>();
  groups_ = group_count(slots);
  group_ = groups_of(labels, slots);
  windows_.clear();
  int64_t token = 0;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i) * labels.padded_length;
    WindowView view;
    view.rows = rows + row * channels_;
    view.group = group_.data() + row;
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
    worker.begin_batch(groups_);
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

void KernelMeasurement::add_sums(const Slots& slots) {
  add_tokens(slots);
  KeyRange keys;
  for (int thread = 0; thread < threads_; ++thread) keys.widen(workers_[thread].keys);
#pragma omp parallel num_threads(threads_)
  {
#pragma omp for schedule(static)
    for (int64_t channel = 0; channel < channels_; ++channel) add_channel(channel, slots);
#pragma omp for schedule(static)
    for (int64_t bin = keys.first; bin < keys.end; ++bin) {
      add_to(slots.magnitude_histogram, bin, over_workers<int64_t>(&KernelWorker::histogram, bin));
    }
  }
}

template <typename Sum, typename Sums>
Sum KernelMeasurement::over_workers(Sums KernelWorker::*sums, int64_t at) const {
  Sum sum = 0;
  for (int thread = 0; thread < threads_; ++thread) sum += (workers_[thread].*sums)[at];
  return sum;
}

void KernelMeasurement::add_tokens(const Slots& slots) {
  int64_t finite = 0;
  for (int64_t group = 0; group < groups_; ++group) {
    const auto count = over_workers<int64_t>(&KernelWorker::group_count, group);
    add_to(slots.role_count, group, count);
    add_to(slots.class_count, group % kClasses, count);
    finite += count;
  }
  add_to(slots.count, 0, finite);
  add_to(slots.nonfinite_tokens, 0, static_cast<int64_t>(measured_.is_finite.size()) - finite);
}

/// Sums over all tokens, and over those of a class, are those over the groups, added up.
void KernelMeasurement::add_channel(int64_t channel, const Slots& slots) {
  double total = 0, total_square = 0;
  for (int64_t group = 0; group < groups_; ++group) {
    const int64_t at = group * channels_ + channel;
    const int64_t of_class = group % kClasses * channels_ + channel;
    const auto sum = over_workers<double>(&KernelWorker::group_sum, at);
    const auto square = over_workers<double>(&KernelWorker::group_sum_square, at);
    add_to(slots.role_sum, at, sum);
    add_to(slots.role_sum_square, at, square);
    add_to(slots.class_sum, of_class, sum);
    add_to(slots.class_sum_square, of_class, square);
    total += sum;
    total_square += square;
  }
  const auto fourth = over_workers<double>(&KernelWorker::sum_fourth, channel);
  const auto above_6 = over_workers<int64_t>(&KernelWorker::count_above_6, channel);
  add_to(slots.channel_sum, channel, total);
  add_to(slots.channel_sum_square, channel, total_square);
  add_to(slots.channel_sum_fourth, channel, fourth);
  add_to(slots.channel_count_above_6, channel, above_6);
  if (slots.channel_max_magnitude != nullptr) {
    float& largest = slots.channel_max_magnitude[channel];
    largest = std::max(largest, largest_magnitude(channel));
  }
}

float KernelMeasurement::largest_magnitude(int64_t channel) const {
  int32_t bits = 0;
  for (int thread = 0; thread < threads_; ++thread) {
    bits = std::max(bits, workers_[thread].max_bits[channel]);
  }
  return std::bit_cast<float>(bits);
}

}  // namespace

std::unique_ptr<Measurement> make_kernel_measurement(int64_t channels, int64_t top_k) {
  return std::make_unique<KernelMeasurement>(channels, top_k);
}

}  // namespace actsweep
