// Starts MPI for the tests of this program, which run on one rank.
#include <gtest/gtest.h>

#include <memory>

#include "comm/session.h"

namespace actsweep {
namespace {

class MpiEnvironment : public testing::Environment {
 public:
  void SetUp() override { session_ = std::make_unique<MpiSession>(nullptr, nullptr); }
  void TearDown() override { session_.reset(); }

 private:
  std::unique_ptr<MpiSession> session_;
};

const auto* const environment = testing::AddGlobalTestEnvironment(new MpiEnvironment);

}  // namespace
}  // namespace actsweep
