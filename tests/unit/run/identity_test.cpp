#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "job/job.h"
#include "run/inputs.h"

namespace actsweep {
namespace {

/// The identity of a job with threads of its own, on a rank that computes with others.
nlohmann::json identity_with(std::optional<int64_t> wanted, std::optional<int64_t> threads) {
  Job job;
  job.parallel.threads = wanted;
  auto identity = identity_of(job);
  set_threads(threads, identity);
  return identity;
}

TEST(Identity, OfACpuHasItsThreads) {
  EXPECT_EQ(identity_with({}, 4).at("parallel.threads"), 4);
  EXPECT_EQ(differing_keys(identity_with({}, 4), identity_with({}, 2)).size(), 1u);
  EXPECT_TRUE(differing_keys(identity_with(4, 4), identity_with({}, 4)).empty());
}

TEST(Identity, OfAGpuHasNone) {
  EXPECT_TRUE(differing_keys(identity_with(4, {}), identity_with({}, {})).empty());
  EXPECT_TRUE(differing_keys(identity_with(4, {}), identity_with(14, {})).empty());
}

}  // namespace
}  // namespace actsweep
