#include "probe/donors.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <mpi.h>

namespace actsweep {
namespace {

constexpr int64_t kPositions = 4;

/// Windows 20, 21 and 22 of the sweep, of 4, 2 and 3 tokens, and one sequence of padding.
OwnedRows three_windows() {
  OwnedRows labels;
  labels.padded_length = kPositions;
  labels.padded_sequences = 4;
  labels.windows = {{20, 0, 0, 4, false}, {21, 4, 4, 2, false}, {22, 6, 6, 3, false}};
  return labels;
}

Donors donors_of(const OwnedRows& labels) {
  const Group group(MPI_COMM_SELF, nullptr);
  return gather_donors(labels, at::arange(labels.row_count(), at::kFloat).unsqueeze(1), group);
}

/// The sequence from which a token of window `i` of the three comes; -1: none.
int64_t donor(const Donors& donors, int64_t i, int64_t position, uint64_t seed) {
  const int64_t row = donors.row_of({i * kPositions + position, 20 + i, position, 3, 0}, seed);
  if (row < 0) return -1;
  EXPECT_EQ(row % kPositions, position);
  return row / kPositions;
}

TEST(Donors, AreOtherRealSequencesThatAreLongEnough) {
  const auto donors = donors_of(three_windows());
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (const int64_t i : {0, 1, 2}) {
      const int64_t found = donor(donors, i, 0, seed);
      EXPECT_TRUE(found >= 0 && found <= 2 && found != i) << found;
    }
    EXPECT_EQ(donor(donors, 0, 2, seed), 2);
    EXPECT_EQ(donor(donors, 2, 2, seed), 0);
    EXPECT_EQ(donor(donors, 0, 3, seed), -1);
  }
}

TEST(Donors, OfTokensThatAllSequencesHaveEachGivesOnceAndTheSeedChoosesWhich) {
  const auto donors = donors_of(three_windows());
  bool is_other = false;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const int64_t shift = (donor(donors, 0, 1, seed) + 3) % 3;
    for (const int64_t i : {1, 2}) EXPECT_EQ(donor(donors, i, 1, seed), (i + shift) % 3);
    is_other |= donor(donors, 0, 1, seed) != donor(donors, 0, 1, 0);
  }
  EXPECT_TRUE(is_other);
}

TEST(Donors, ASequenceAloneHasNone) {
  auto labels = three_windows();
  labels.windows.resize(1);
  EXPECT_EQ(donor(donors_of(labels), 0, 0, 1), -1);
}

TEST(Donors, KeepTheRowsAsTheyWere) {
  const Group group(MPI_COMM_SELF, nullptr);
  auto rows = at::ones({16, 2});
  const auto donors = gather_donors(three_windows(), rows, group);
  rows.zero_();
  EXPECT_TRUE(donors.rows.eq(1).all().item<bool>());
}

}  // namespace
}  // namespace actsweep
