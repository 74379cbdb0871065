// SharedCounter by 1, 2, 3 and 4 ranks. No ASSERT: a rank that left early would leave the others
// waiting.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "comm/session.h"
#include "comm/shared_counter.h"

namespace actsweep {
namespace {

/// What all ranks took, in order.
std::vector<int64_t> together(const std::vector<int64_t>& mine) {
  const int ranks = size_of(MPI_COMM_WORLD);
  int count = static_cast<int>(mine.size());
  std::vector<int> counts(ranks), places(ranks);
  MPI_Allgather(&count, 1, MPI_INT, counts.data(), 1, MPI_INT, MPI_COMM_WORLD);
  std::exclusive_scan(counts.begin(), counts.end(), places.begin(), 0);
  std::vector<int64_t> all(places.back() + counts.back());
  MPI_Allgatherv(mine.data(), count, MPI_INT64_T, all.data(), counts.data(), places.data(),
                 MPI_INT64_T, MPI_COMM_WORLD);
  std::sort(all.begin(), all.end());
  return all;
}

TEST(SharedCounter, GivesEachNumberOnce) {
  constexpr int64_t kFirst = 3, kNumbers = 200;
  const int ranks = size_of(MPI_COMM_WORLD);
  SharedCounter counter(MPI_COMM_WORLD, kFirst);
  std::vector<int64_t> mine;
  for (auto number = counter.next(); number < kFirst + kNumbers; number = counter.next()) {
    EXPECT_TRUE(mine.empty() || mine.back() < number);
    mine.push_back(number);
    counter.serve();
  }
  counter.finish();
  const auto all = together(mine);
  EXPECT_EQ(all.size(), kNumbers) << "of " << ranks << " ranks";
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], kFirst + static_cast<int64_t>(i));
}

TEST(SharedCounter, ASlowRankTakesFewer) {
  constexpr int64_t kNumbers = 60;
  const int ranks = size_of(MPI_COMM_WORLD);
  const bool is_slow = rank_in(MPI_COMM_WORLD) == ranks - 1;
  SharedCounter counter(MPI_COMM_WORLD, 0);
  std::vector<int64_t> mine;
  while (counter.next() < kNumbers) {
    mine.push_back(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(is_slow ? 50 : 1));
    counter.serve();
  }
  counter.finish();
  EXPECT_EQ(together(mine).size(), kNumbers);
  if (is_slow && ranks > 1) {
    EXPECT_LT(mine.size(), kNumbers / ranks);
  }
}

TEST(SharedCounter, WhatOneTellsAllHear) {
  const int rank = rank_in(MPI_COMM_WORLD), last = size_of(MPI_COMM_WORLD) - 1;
  SharedCounter counter(MPI_COMM_WORLD, 0);
  EXPECT_FALSE(rank == last && counter.told());
  if (rank == last) counter.tell(7);
  while (!counter.told()) std::this_thread::yield();
  EXPECT_EQ(counter.told(), 7);
  counter.finish();
}

TEST(SharedCounter, OfWhatAllTellEachKeepsItsFirst) {
  const int rank = rank_in(MPI_COMM_WORLD), ranks = size_of(MPI_COMM_WORLD);
  SharedCounter counter(MPI_COMM_WORLD, 0);
  counter.tell(rank);
  counter.tell(rank + 1000);
  EXPECT_LT(counter.told(), ranks);
  const auto kept = counter.told();
  counter.finish();
  EXPECT_EQ(counter.told(), kept);
}

TEST(SharedCounter, RanksThatWaitAnswerAndMayTell) {
  const bool waits = rank_in(MPI_COMM_WORLD) == 0;
  SharedCounter counter(MPI_COMM_WORLD, 0);
  int64_t calls = 0;
  if (!waits) {  // rank 0 answers from inside of finish(), and is the one that tells
    for (int i = 0; i < 20; ++i) counter.next();
    while (!counter.told()) std::this_thread::yield();
    EXPECT_EQ(counter.told(), 3);
  }
  counter.finish([&] {
    ++calls;
    if (waits) counter.tell(3);
  });
  EXPECT_TRUE(!waits || calls > 0 || size_of(MPI_COMM_WORLD) == 1);
  if (waits) {
    EXPECT_EQ(counter.next(), 20 * (size_of(MPI_COMM_WORLD) - 1));
  }
}

TEST(SharedCounter, OfOneRankAsksNobody) {
  SharedCounter counter(MPI_COMM_SELF, 7);
  EXPECT_EQ(counter.next(), 7);
  EXPECT_EQ(counter.next(), 8);
  counter.finish();
}

}  // namespace
}  // namespace actsweep
