// The measurement by ATen operators, for tensors of any device.
//
// The only waits for the device are one for which tokens are finite and one for the rows of each
// chunk of tokens. Sums by group are products with the matrix of who is in which group: their order
// of additions is fixed, unlike that of atomic additions.
#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "base/error.h"
#include "measure/measurement.h"
#include "schema/declare.h"

namespace actsweep {

namespace {

constexpr int64_t kChunkValues =
    1 << 24;  // bounds the work space: 0.5 GiB of 64-bit selection keys and squares

/// The finite tokens of a micro-batch, in order.
struct FiniteTokens {
  std::vector<int64_t> row;    // of the batch
  std::vector<int64_t> token;  // among the real tokens
  std::vector<int64_t> group;
  std::vector<int64_t> window_begin;  // [S + 1] where each window's tokens begin
};

at::Tensor on_device(const std::vector<int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::kLong).to(like.device());
}

/// Copies `from` [n, width], of any device, to the rows `token` of `to` [N, width_to].
template <typename To, typename From>
void scatter_rows(const at::Tensor& from, std::span<const int64_t> token, std::vector<To>& to,
                  int64_t width_to) {
  const at::Tensor host = from.to(at::kCPU).contiguous();
  const From* values = host.const_data_ptr<From>();
  const int64_t width = host.dim() > 1 ? host.size(1) : 1;
  for (size_t i = 0; i < token.size(); ++i) {
    for (int64_t j = 0; j < width; ++j) {
      to[token[i] * width_to + j] = static_cast<To>(values[static_cast<int64_t>(i) * width + j]);
    }
  }
}

/// The slot as a tensor like `values`.
template <typename T>
at::Tensor tensor_at(T* slot, const at::Tensor& values) {
  ensure(values.scalar_type() == c10::CppTypeToScalarType<T>::value, "a slot takes its own type");
  return at::from_blob(slot, values.sizes(), values.options());
}

template <typename T>
void add_to(T* slot, const at::Tensor& values) {
  if (slot != nullptr) tensor_at(slot, values).add_(values);
}

/// [groups, …] of a number of roles -> [classes, …]
at::Tensor over_roles(const at::Tensor& of_groups) {
  return of_groups.unflatten(0, {-1, kClasses}).sum(0);
}

void raise(float* slot, const at::Tensor& values) {
  if (slot == nullptr) return;
  at::Tensor largest = tensor_at(slot, values);
  at::maximum_out(largest, largest, values);
}

class AtenMeasurement : public Measurement {
 public:
  AtenMeasurement(int64_t channels, int64_t top_k) : channels_(channels), top_k_(top_k) {}
  size_t depth() const override { return of_batch_.size(); }
  void start(const SiteBatch& batch, const Slots& slots) override;
  const Measured& finish() override { return of_batch_[finished_++ % of_batch_.size()]; }

 private:
  FiniteTokens find_finite(const SiteBatch& batch, const Slots& slots);
  void measure_tokens(const at::Tensor& x, std::span<const int64_t> token);
  void add_tokens(const FiniteTokens& finite, const Slots& slots, at::Device device) const;
  void add_sums(const at::Tensor& x, std::span<const int64_t> group, const Slots& slots) const;

  int64_t channels_;
  int64_t top_k_;
  std::array<Measured, 2> of_batch_;
  Measured* measured_ = nullptr;  // of the micro-batch that starts
  size_t started_ = 0;
  size_t finished_ = 0;
};

void AtenMeasurement::start(const SiteBatch& batch, const Slots& slots) {
  measured_ = &of_batch_[started_++ % of_batch_.size()];
  measured_->prepare_rows(*batch.labels, top_k_);
  const FiniteTokens finite = find_finite(batch, slots);
  add_tokens(finite, slots, batch.rows.device());
  const auto count = static_cast<int64_t>(finite.row.size());
  const at::Tensor row = on_device(finite.row, batch.rows);  // [finite tokens] int64
  const int64_t chunk = std::max<int64_t>(1, kChunkValues / channels_);
  for (int64_t first = 0; first < count; first += chunk) {
    const int64_t length = std::min(chunk, count - first);
    const at::Tensor x = batch.rows.index_select(0, row.narrow(0, first, length));
    measure_tokens(x, std::span(finite.token).subspan(first, length));
    add_sums(x, std::span(finite.group).subspan(first, length), slots);
  }
  std::vector<at::Tensor> median;  // of the windows with a finite token
  std::vector<int64_t> window;
  for (size_t i = 0; i + 1 < finite.window_begin.size(); ++i) {
    const int64_t first = finite.window_begin[i], length = finite.window_begin[i + 1] - first;
    if (length == 0) continue;
    const at::Tensor x = batch.rows.index_select(0, row.narrow(0, first, length));
    median.push_back(x.abs().flatten().median());
    window.push_back(static_cast<int64_t>(i));
  }
  if (!median.empty()) {
    scatter_rows<float, float>(at::stack(median), window, measured_->sequence_median, 1);
  }
}

FiniteTokens AtenMeasurement::find_finite(const SiteBatch& batch, const Slots& slots) {
  const OwnedRows& labels = *batch.labels;
  // [row_count] bool: a NaN or infinite value makes the largest magnitude so
  const at::Tensor is_finite = batch.rows.abs().amax(1).isfinite().to(at::kCPU);
  const bool* row_is_finite = is_finite.const_data_ptr<bool>();
  const auto group = groups_of(labels, slots);
  FiniteTokens finite;
  int64_t token = 0;
  finite.window_begin.push_back(0);
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * labels.padded_length;
    for (int64_t row = first; row < first + labels.windows[i].length(); ++row, ++token) {
      measured_->is_finite[token] = row_is_finite[row];
      if (!row_is_finite[row]) continue;
      finite.row.push_back(row);
      finite.token.push_back(token);
      finite.group.push_back(group[row]);
    }
    finite.window_begin.push_back(static_cast<int64_t>(finite.row.size()));
  }
  return finite;
}

/// The rows of the tokens whose activations are `x` [n, C].
void AtenMeasurement::measure_tokens(const at::Tensor& x, std::span<const int64_t> token) {
  const at::Tensor magnitude = x.abs();                                // [n, C]
  const at::Tensor bits = magnitude.view(at::kInt).to(at::kLong);      // [n, C]
  const at::Tensor channel = at::arange(channels_, bits.options());    // [C]
  const at::Tensor complement = channel.neg().add(int64_t{kNoIndex});  // [C]
  // Falling magnitude, then rising channel, is the falling order of this number.
  const at::Tensor key = bits.bitwise_left_shift(32).bitwise_or(complement);
  const int64_t kept = std::min(top_k_, channels_);
  const at::Tensor top = std::get<0>(key.topk(kept, 1));  // [n, kept], falling
  const at::Tensor top_channel = top.bitwise_and(int64_t{kNoIndex}).neg().add(int64_t{kNoIndex});
  scatter_rows<uint32_t, int64_t>(top_channel, token, measured_->token_top_channel, top_k_);
  scatter_rows<float, float>(x.gather(1, top_channel), token, measured_->token_top_value, top_k_);
  scatter_rows<float, float>(std::get<0>(magnitude.median(1)), token, measured_->token_median, 1);
  const at::Tensor norm = x.to(at::kDouble).square().sum(1).sqrt().to(at::kFloat);
  scatter_rows<float, float>(norm, token, measured_->token_norm, 1);
}

void AtenMeasurement::add_tokens(const FiniteTokens& finite, const Slots& slots,
                                 at::Device device) const {
  const auto kept = static_cast<int64_t>(finite.row.size());
  const auto all = static_cast<int64_t>(measured_->is_finite.size());
  const auto number = [&](int64_t value) {
    return at::full({1}, value, at::TensorOptions(device).dtype(at::kLong));
  };
  add_to(slots.count, number(kept));
  add_to(slots.nonfinite_tokens, number(all - kept));
}

/// Adds the finite rows `x` [n, C] to the sums.
void AtenMeasurement::add_sums(const at::Tensor& x, std::span<const int64_t> group,
                               const Slots& slots) const {
  const at::Tensor index = on_device(std::vector<int64_t>(group.begin(), group.end()), x);  // [n]
  const at::Tensor number = at::arange(group_count(slots), index.options());
  const at::Tensor is_of_group = number.unsqueeze(1).eq(index.unsqueeze(0));  // [groups, n]
  const at::Tensor weight = is_of_group.to(at::kDouble);
  const at::Tensor count = is_of_group.sum(1);                          // [groups]
  const at::Tensor value = x.to(at::kDouble), square = value.square();  // [n, C]
  const at::Tensor sum = weight.mm(value), sum_square = weight.mm(square);
  add_to(slots.role_count, count);
  add_to(slots.role_sum, sum);
  add_to(slots.role_sum_square, sum_square);
  add_to(slots.class_count, over_roles(count));
  add_to(slots.class_sum, over_roles(sum));
  add_to(slots.class_sum_square, over_roles(sum_square));
  add_to(slots.channel_sum, sum.sum(0));
  add_to(slots.channel_sum_square, sum_square.sum(0));
  add_to(slots.channel_sum_fourth, square.square().sum(0));
  const at::Tensor magnitude = x.abs();
  raise(slots.channel_max_magnitude, magnitude.amax(0));
  add_to(slots.channel_count_above_6, magnitude.ge(6).sum(0));
  const at::Tensor bin = magnitude.view(at::kInt).bitwise_right_shift(16).flatten();
  add_to(slots.magnitude_histogram, at::bincount(bin, {}, kMagnitudeBins));
}

}  // namespace

std::unique_ptr<Measurement> make_aten_measurement(int64_t channels, int64_t top_k) {
  return std::make_unique<AtenMeasurement>(channels, top_k);
}

}  // namespace actsweep
