// XXH3 in 128 bits against digests that other implementations publish for it.
#include "base/content_hash.h"

#include <gtest/gtest.h>

namespace actsweep {
namespace {

std::string hash_of(std::initializer_list<std::string_view> pieces) {
  ContentHash hash;
  for (const auto piece : pieces) hash.add(piece);
  return hash.hex();
}

// Of python-xxhash's documentation and tests: xxh128_hexdigest.
TEST(ContentHash, EqualsPublishedDigests) {
  EXPECT_EQ(hash_of({}), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_of({"a"}), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(hash_of({"abc"}), "06b05ab6733a618578af5f94892f3950");
}

TEST(ContentHash, OfPiecesEqualsThatOfTheWhole) {
  const std::string text(100'000, 'x');
  const auto whole = hash_of({text});
  for (const size_t cut : {size_t{0}, size_t{1}, size_t{255}, size_t{256}, size_t{99'999}}) {
    const std::string_view view = text;
    EXPECT_EQ(hash_of({view.substr(0, cut), view.substr(cut)}), whole) << cut;
  }
}

}  // namespace
}  // namespace actsweep
