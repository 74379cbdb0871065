#include "output/output_place.h"

#include <gtest/gtest.h>

#include <fstream>

#include "expect_error.h"
#include "temporary_folder.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

void expect_refused(const std::string& path, const std::vector<std::string>& words) {
  expect_error(ErrorKind::kOutput, words, [&] { resolve_output(path); });
}

TEST(OutputPlace, PathOfAFileStaysAsItIs) {
  const TemporaryFolder folder;
  std::ofstream(folder / "there.h5") << "x";
  for (const auto& path : {folder / "there.h5", folder / "new.h5", folder / "a/b/new.h5",
                           std::string("relative.h5")}) {
    EXPECT_EQ(resolve_output(path), path);
  }
  EXPECT_FALSE(fs::exists(folder / "a"));
}

TEST(OutputPlace, LinksAreFollowedAlsoToNothing) {
  const TemporaryFolder folder;
  std::ofstream(folder / "there.h5") << "x";
  fs::create_symlink("there.h5", folder / "relative");
  fs::create_symlink(folder / "scratch/new.h5", folder / "dangling");
  fs::create_symlink("dangling", folder / "twice");
  EXPECT_EQ(resolve_output(folder / "relative"), folder / "there.h5");
  EXPECT_EQ(resolve_output(folder / "twice"), folder / "scratch/new.h5");
}

TEST(OutputPlace, WhatNoFileCanBeIsRefusedInWords) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "taken");
  fs::create_symlink("self", folder / "self");
  fs::create_symlink("taken", folder / "to_folder");
  expect_refused(folder / "new.h5/", {"new.h5/: ends with a slash"});
  expect_refused(folder / "taken/", {"ends with a slash"});
  expect_refused(folder / "taken", {"taken: is a folder"});
  expect_refused(folder / "to_folder", {"to_folder: is a folder"});
  expect_refused(folder / "taken/..", {"is a folder"});
  expect_refused(folder / "taken/.", {"is a folder"});
  expect_refused(folder / "self", {"a link that leads to itself"});
  expect_refused("/dev/null", {"/dev/null: expected a file, found a device"});
}

TEST(OutputPlace, LongestNameIsThatForWhichThereIsRoomWithWhatIsAdded) {
  const TemporaryFolder folder;
  expect_refused(folder / std::string(300, 'x'), {"the name is too long", "found 300"});
  expect_refused(folder / std::string(253, 'x'), {"the name is too long", "found 253"});
  const std::string longest(200, 'x');
  EXPECT_EQ(resolve_output(folder / longest), folder / longest);
}

TEST(OutputPlace, PathThatIsTooLongIsRefused) {
  std::string path = "/tmp";
  while (path.size() < 4060) path += "/" + std::string(50, 'd');
  expect_refused(path + "/sweep.h5", {"the path is too long: expected at most "});
}

TEST(OutputPlace, PlaceThatTakesNoFileIsRefused) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  expect_error(ErrorKind::kOutput, {"file/sweep.h5", "to be a folder, found another kind of file"},
               [&] { check_writable(folder / "file/sweep.h5"); });
  check_writable(folder / "new/sweep.h5");
  check_writable(folder / "sweep.h5");
  EXPECT_FALSE(fs::exists(folder / "new"));
}

}  // namespace
}  // namespace actsweep
