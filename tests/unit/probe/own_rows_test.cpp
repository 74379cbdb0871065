#include "probe/own_rows.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <mpi.h>

namespace actsweep {
namespace {

/// Of a rank alone, which owns all rows.
class OwnRowsOfOne : public ::testing::Test {
 protected:
  at::Tensor take(const at::Tensor& rows) { return own_rows_.take(Site::kMlpHidden, 0, rows); }

  static at::Tensor make_rows(int64_t count, at::ScalarType type) {
    return at::arange(count * 24, at::kFloat).sub(100).div(7).view({count, 24}).to(type);
  }

  Architecture architecture_;
  Group group_{MPI_COMM_SELF, nullptr};
  OwnRows own_rows_{architecture_, group_};
};

TEST_F(OwnRowsOfOne, AreTheRowsInFloat32) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int64_t count : {5, 9, 3}) {
      const auto rows = make_rows(count, type);
      const auto taken = take(rows);
      EXPECT_TRUE(taken.is_contiguous());
      EXPECT_TRUE(at::equal(taken, rows.to(at::kFloat))) << count;
      const auto columns = rows.narrow(1, 3, 7);  // with a stride
      EXPECT_TRUE(at::equal(take(columns), columns.to(at::kFloat))) << count;
    }
  }
}

TEST_F(OwnRowsOfOne, ThatSomebodyHoldsStayAsTheyAre) {
  const auto first = make_rows(5, at::kBFloat16), second = first.neg();
  const auto held = take(first);
  const auto later = take(second);
  EXPECT_TRUE(at::equal(held, first.to(at::kFloat)));
  EXPECT_TRUE(at::equal(later, second.to(at::kFloat)));
}

TEST_F(OwnRowsOfOne, ThatNobodyHoldsGiveTheirMemoryToTheNext) {
  const auto rows = make_rows(5, at::kBFloat16);
  const void* memory = take(rows).const_data_ptr();
  EXPECT_EQ(take(make_rows(4, at::kBFloat16)).const_data_ptr(), memory);
  EXPECT_EQ(take(rows).const_data_ptr(), memory);
}

}  // namespace
}  // namespace actsweep
