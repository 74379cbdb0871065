#include "output/durable.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/error.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

TEST(WaitForFile, ReturnsOnceTheFileIsThere) {
  const auto folder = fs::path(testing::TempDir()) / "actsweep-late";
  const auto path = folder / "late.h5";
  fs::remove_all(folder);
  std::thread maker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    fs::create_directory(folder);  // which is late, too
    std::ofstream(path) << "here";
  });
  wait_for_file(path, 60);
  EXPECT_TRUE(fs::exists(path));
  maker.join();
  fs::remove_all(folder);
}

TEST(WaitForFile, FileThatNeverComesIsAnErrorInTime) {
  try {
    wait_for_file(testing::TempDir() + "actsweep-never.h5", 0.3);
    FAIL() << "no Error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutput);
    EXPECT_THAT(error.what(), testing::HasSubstr("actsweep-never.h5: was made by another rank"));
  }
}

}  // namespace
}  // namespace actsweep
