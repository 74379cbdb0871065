#include "output/table.h"

#include <gtest/gtest.h>

#include <cmath>

namespace actsweep {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(format_table({{"n"}, {"name", Align::kLeft}, {"x"}},
                         {{"1,000", "a", "2"}, {"7", "± long", "3"}}),
            "    n  name    x\n"
            "1,000  a       2\n"
            "    7  ± long  3\n");
}

TEST(Numbers, AreGroupedByThousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
}

TEST(Numbers, ShowAboutFourDigits) {
  EXPECT_EQ(readable(24312.4), "24,312");
  EXPECT_EQ(readable(-24312.6), "-24,313");
  EXPECT_EQ(readable(163.51), "163.5");
  EXPECT_EQ(readable(-std::nan("")), "nan");
  EXPECT_EQ(readable(0.71294), "0.7129");
  EXPECT_EQ(readable(std::nan("")), "nan");
  EXPECT_EQ(readable(INFINITY), "inf");
}

TEST(Tokens, ShowEveryByte) {
  EXPECT_EQ(quoted(" the"), "\" the\"");
  EXPECT_EQ(quoted("\n\t"), "\"\\n\\t\"");
  EXPECT_EQ(quoted("a\"\\"), "\"a\\\"\\\\\"");
  EXPECT_EQ(quoted("é。"), "\"é。\"");
  EXPECT_EQ(quoted("\xc3"), "\"\\xc3\"");
  EXPECT_EQ(quoted("\xff\x01z"), "\"\\xff\\x01z\"");
}

}  // namespace
}  // namespace actsweep
