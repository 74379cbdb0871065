// The main of a GoogleTest program that runs under mpirun: rank 0 prints all, the others their
// failures alone, and all ranks leave with the worst result of any (mpirun would kill the others of
// one that fails alone).
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "comm/session.h"

namespace {

/// Prints failures with the rank that saw them.
class FailurePrinter : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

 private:
  void OnTestStart(const testing::TestInfo& test) override {
    test_ = std::string(test.test_suite_name()) + "." + test.name();
  }

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::fprintf(stderr, "rank %d, %s, %s:%d: %s\n", rank_, test_.c_str(),
                 result.file_name() ? result.file_name() : "?", result.line_number(),
                 result.message());
  }

  std::string test_;
  int rank_;
};

}  // namespace

int main(int argc, char** argv) {
  const actsweep::MpiSession session(&argc, &argv);
  testing::InitGoogleTest(&argc, argv);
  if (session.rank() != 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(session.rank()));
  }
  int failed = RUN_ALL_TESTS();
  MPI_Allreduce(MPI_IN_PLACE, &failed, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return failed;
}
