#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "device.h"
#include "reference.h"

namespace actsweep::testing {
namespace {

constexpr int64_t kChannels = 5;

/// Windows of different lengths, with a role for each row; one token is not finite, and nobody
/// speaks as the system.
Batch make_chats() {
  Batch batch = make_batch({90, 7, 66, 1, 0}, kChannels, 3);
  for (int64_t row = 0; row < batch.labels.row_count(); ++row) {
    const auto role = static_cast<uint8_t>(row * 7 / 3 % kRoles);
    batch.labels.token_role.push_back(role == 1 ? 0 : role);
  }
  row_of(batch, 0, 4)[2] = std::numeric_limits<float>::infinity();
  return batch;
}

Values measured(const Batch& batch, const Job& job, MeasuredBy measured_by) {
  SiteStatistics statistics(Site::kResidual, job, {{Axis::kLayer, 2}, {Axis::kChannel, kChannels}},
                            test_device(), measured_by);
  statistics.begin_segment();
  CollectingSink sink;
  std::vector<Event> events;
  for (int repeat = 0; repeat < 2; ++repeat) {
    statistics.update({batch.rows.to(test_device()), 1, &batch.labels}, sink, events);
  }
  statistics.finish(sink, events);
  return values_of(statistics.fields(), 1);
}

Job by_role() {
  Job job;
  job.statistics.classes = Classes::kRole;
  return job;
}

/// Sums over both updates by plain loops.
Values expected(Batch& batch) {
  Values values;
  auto& count = values["residual/role_count"];
  auto& sum = values["residual/role_sum"];
  auto& square = values["residual/role_sum_square"];
  count.assign(kRoles * kClasses, 0);
  sum.assign(kRoles * kClasses * kChannels, 0);
  square = sum;
  for (size_t i = 0; i < batch.labels.windows.size(); ++i) {
    const auto window = static_cast<int64_t>(i);
    for (int64_t p = 0; p < batch.labels.windows[i].length(); ++p) {
      if (window == 0 && p == 4) continue;
      const int64_t row = window * batch.labels.padded_length + p;
      const int64_t place =
          batch.labels.token_role[row] * kClasses + batch.labels.token_class[row];
      count[place] += 2;
      for (int64_t c = 0; c < kChannels; ++c) {
        const double value = row_of(batch, window, p)[c];
        sum[place * kChannels + c] += 2 * value;
        square[place * kChannels + c] += 2 * value * value;
      }
    }
  }
  return values;
}

/// Those of `values` whose dataset `wanted` has, too.
Values common(Values values, const Values& wanted) {
  std::erase_if(values, [&](const auto& value) { return !wanted.contains(value.first); });
  return values;
}

class RoleMoments : public ::testing::TestWithParam<MeasuredBy> {
 protected:
  void TearDown() override { at::set_num_threads(1); }
};

TEST_P(RoleMoments, AddUpTheTokensOfEachRoleAndClass) {
  Batch batch = make_chats();
  const Values sums = expected(batch);
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const Values found = common(measured(batch, by_role(), GetParam()), sums);
    ASSERT_EQ(found.size(), 3u);
    expect_equal(found, sums, 1e-12);
  }
}

TEST_P(RoleMoments, OverRolesAreThoseOfTheClasses) {
  Batch batch = make_chats();
  const Values without = measured(batch, Job{}, GetParam());
  expect_equal(common(measured(batch, by_role(), GetParam()), without), without, 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Measurements, RoleMoments,
                         ::testing::Values(MeasuredBy::kDefault, MeasuredBy::kAten));

}  // namespace
}  // namespace actsweep::testing
