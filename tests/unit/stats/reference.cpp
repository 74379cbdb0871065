#include "reference.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace actsweep::testing {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kNone = 4294967295.0;

struct Place {
  double value;
  int64_t position;
  int64_t channel;
};

bool is_finite_row(const float* row, int64_t channels) {
  return std::all_of(row, row + channels, [](float x) { return std::isfinite(x); });
}

/// Falling magnitude, then rising position, then rising channel.
void sort_places(std::vector<Place>& places) {
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    if (std::fabs(a.value) != std::fabs(b.value)) return std::fabs(a.value) > std::fabs(b.value);
    if (a.position != b.position) return a.position < b.position;
    return a.channel < b.channel;
  });
}

double lower_median(const std::vector<Place>& places) {
  if (places.empty()) return kNan;
  std::vector<double> magnitudes;
  for (const Place& place : places) magnitudes.push_back(std::fabs(place.value));
  std::sort(magnitudes.begin(), magnitudes.end());
  return magnitudes[(magnitudes.size() - 1) / 2];
}

void append_top(const std::vector<Place>& places, int64_t top_k, const std::string& group,
                bool with_position, Values& values) {
  for (int64_t order = 0; order < top_k; ++order) {
    const bool is_there = order < static_cast<int64_t>(places.size());
    values[group + "_top_value"].push_back(is_there ? places[order].value : kNan);
    values[group + "_top_channel"].push_back(is_there ? places[order].channel : kNone);
    if (with_position) {
      values[group + "_top_position"].push_back(is_there ? places[order].position : kNone);
    }
  }
}

std::vector<Place> places_of(const float* row, int64_t position, int64_t channels) {
  std::vector<Place> places;
  if (!is_finite_row(row, channels)) return places;
  for (int64_t c = 0; c < channels; ++c) places.push_back({row[c], position, c});
  return places;
}

void add_to_fields(const std::vector<Place>& places, int64_t token_class, Values& values) {
  const int64_t channels = static_cast<int64_t>(places.size());
  values["residual/count"][0] += 1;
  values["residual/class_count"][token_class] += 1;
  for (const Place& place : places) {
    const double x = place.value;
    const int64_t c = place.channel;
    values["residual/channel_sum"][c] += x;
    values["residual/channel_sum_square"][c] += x * x;
    values["residual/channel_sum_fourth"][c] += x * x * x * x;
    double& largest = values["residual/channel_max_magnitude"][c];
    largest = std::max(largest, std::fabs(x));
    values["residual/channel_count_above_6"][c] += std::fabs(x) >= 6;
    values["residual/class_sum"][token_class * channels + c] += x;
    values["residual/class_sum_square"][token_class * channels + c] += x * x;
    const float magnitude = static_cast<float>(std::fabs(x));
    uint32_t bits;
    std::memcpy(&bits, &magnitude, sizeof bits);
    values["residual/magnitude_histogram"][bits / 65536] += 1;
  }
}

template <typename T>
void append_doubles(std::span<const std::byte> bytes, std::vector<double>& doubles) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    doubles.push_back(static_cast<double>(value));
  }
}

}  // namespace

Batch make_batch(const std::vector<int64_t>& lengths, int64_t channels, uint64_t seed) {
  Batch batch;
  OwnedRows& labels = batch.labels;
  labels.padded_length = *std::max_element(lengths.begin(), lengths.end());
  labels.padded_sequences = static_cast<int64_t>(lengths.size());
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.0f, 2.5f);
  batch.rows = at::empty({labels.row_count(), channels}, at::kFloat);
  float* values = batch.rows.mutable_data_ptr<float>();
  int64_t first_token = 1000;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] > 0) {
      labels.windows.push_back({static_cast<int64_t>(i) + 7, first_token, 0, lengths[i], false});
      first_token += lengths[i];
    }
    for (int64_t position = 0; position < labels.padded_length; ++position) {
      const bool is_real = position < lengths[i];
      labels.token_id.push_back(is_real ? static_cast<uint32_t>(random() % 999) : 0);
      labels.token_class.push_back(position == 0 ? 0 : static_cast<uint8_t>(1 + random() % 3));
      labels.document.push_back(static_cast<int64_t>(i / 2));
      for (int64_t c = 0; c < channels; ++c) {
        const float padding = c % 2 ? std::numeric_limits<float>::quiet_NaN() : 1e30f;
        *values++ = is_real ? normal(random) : padding;
      }
    }
  }
  return batch;
}

float* row_of(Batch& batch, int64_t window, int64_t position) {
  const int64_t row = window * batch.labels.padded_length + position;
  return batch.rows.mutable_data_ptr<float>() + row * batch.rows.size(1);
}

Values expected_values(const Batch& batch, int64_t top_k) {
  const int64_t channels = batch.rows.size(1);
  Values values;
  for (const char* name : {"count", "nonfinite_tokens"}) {
    values[std::string("residual/") + name].assign(1, 0);
  }
  for (const char* name : {"sum", "sum_square", "sum_fourth", "max_magnitude", "count_above_6"}) {
    values[std::string("residual/channel_") + name].assign(channels, 0);
  }
  values["residual/class_count"].assign(4, 0);
  values["residual/class_sum"].assign(4 * channels, 0);
  values["residual/class_sum_square"].assign(4 * channels, 0);
  values["residual/magnitude_histogram"].assign(32640, 0);
  const float* rows = batch.rows.const_data_ptr<float>();
  for (size_t i = 0; i < batch.labels.windows.size(); ++i) {
    std::vector<Place> sequence;
    for (int64_t position = 0; position < batch.labels.windows[i].length(); ++position) {
      const int64_t row = static_cast<int64_t>(i) * batch.labels.padded_length + position;
      std::vector<Place> token = places_of(rows + row * channels, position, channels);
      if (token.empty()) {
        values["residual/nonfinite_tokens"][0] += 1;
      } else {
        add_to_fields(token, batch.labels.token_class[row], values);
      }
      double sum_square = 0;
      for (const Place& place : token) sum_square += place.value * place.value;
      values["residual/token_norm"].push_back(token.empty() ? kNan : std::sqrt(sum_square));
      values["residual/token_median_magnitude"].push_back(lower_median(token));
      sequence.insert(sequence.end(), token.begin(), token.end());
      sort_places(token);
      append_top(token, top_k, "residual/token", false, values);
    }
    values["residual/sequence_median_magnitude"].push_back(lower_median(sequence));
    sort_places(sequence);
    append_top(sequence, top_k, "residual/sequence", true, values);
  }
  return values;
}

std::vector<Event> expected_events(const Batch& batch, const Job& job, int64_t& left_out) {
  const int64_t channels = batch.rows.size(1);
  const float* rows = batch.rows.const_data_ptr<float>();
  std::vector<Event> events;
  left_out = 0;
  for (size_t i = 0; i < batch.labels.windows.size(); ++i) {
    const Window& window = batch.labels.windows[i];
    std::vector<Place> sequence;
    std::vector<double> token_median;
    for (int64_t position = 0; position < window.length(); ++position) {
      const int64_t row = static_cast<int64_t>(i) * batch.labels.padded_length + position;
      const std::vector<Place> token = places_of(rows + row * channels, position, channels);
      token_median.push_back(lower_median(token));
      sequence.insert(sequence.end(), token.begin(), token.end());
    }
    const double sequence_median = lower_median(sequence);
    sort_places(sequence);
    int64_t kept = 0;
    for (const Place& place : sequence) {
      const double magnitude = std::fabs(place.value);
      const auto passes = [&](double median) {
        return median > 0 && magnitude > job.statistics.criterion_magnitude &&
               magnitude >= job.statistics.criterion_ratio * median;
      };
      const int reading =
          (passes(sequence_median) ? 1 : 0) + (passes(token_median[place.position]) ? 2 : 0);
      if (reading == 0) continue;
      if (kept++ >= job.statistics.max_events) {
        ++left_out;
        continue;
      }
      const int64_t row = static_cast<int64_t>(i) * batch.labels.padded_length + place.position;
      Event event;
      event.sequence = window.sequence;
      event.position = place.position;
      event.document = batch.labels.document[row];
      event.token = window.first_token + place.position;
      event.token_id = batch.labels.token_id[row];
      event.token_class = batch.labels.token_class[row];
      event.reading = static_cast<uint8_t>(reading);
      event.channel = static_cast<uint32_t>(place.channel);
      event.value = static_cast<float>(place.value);
      event.ratio_to_sequence_median = event.value / static_cast<float>(sequence_median);
      event.ratio_to_token_median = event.value / static_cast<float>(token_median[place.position]);
      events.push_back(event);
    }
  }
  return events;
}

void CollectingSink::append(const Dataset& dataset, std::span<const std::byte> bytes) {
  for (const double value : to_doubles(dataset.type, bytes)) {
    values[dataset.path].push_back(value);
  }
}

Values values_of(const std::vector<Field>& fields, int64_t layer) {
  Values values;
  for (const Field& field : fields) {
    const at::Tensor one = field.values.select(0, layer).cpu().to(at::kDouble).contiguous();
    const double* first = one.const_data_ptr<double>();
    values[field.dataset->path].assign(first, first + one.numel());
  }
  return values;
}

std::vector<double> to_doubles(ElementType type, std::span<const std::byte> bytes) {
  std::vector<double> doubles;
  if (type == ElementType::kUInt8) append_doubles<uint8_t>(bytes, doubles);
  if (type == ElementType::kUInt32) append_doubles<uint32_t>(bytes, doubles);
  if (type == ElementType::kUInt64) append_doubles<uint64_t>(bytes, doubles);
  if (type == ElementType::kInt64) append_doubles<int64_t>(bytes, doubles);
  if (type == ElementType::kFloat32) append_doubles<float>(bytes, doubles);
  if (type == ElementType::kFloat64) append_doubles<double>(bytes, doubles);
  return doubles;
}

void expect_equal(const Values& found, const Values& expected, double sum_tolerance) {
  for (const auto& [path, wanted] : expected) {
    ASSERT_TRUE(found.contains(path)) << path;
    const std::vector<double>& got = found.at(path);
    ASSERT_EQ(got.size(), wanted.size()) << path;
    double largest = 0;
    for (const double value : wanted) largest = std::max(largest, std::fabs(value));
    const bool is_sum = path.find("sum") != std::string::npos || path.ends_with("_square");
    double tolerance = is_sum ? sum_tolerance * largest : 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (path == "residual/token_norm") tolerance = 2.5e-7 * std::fabs(wanted[i]);
      if (std::isnan(wanted[i])) {
        EXPECT_TRUE(std::isnan(got[i])) << path << " at " << i << ": " << got[i];
      } else {
        EXPECT_NEAR(got[i], wanted[i], tolerance) << path << " at " << i;
      }
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace actsweep::testing
