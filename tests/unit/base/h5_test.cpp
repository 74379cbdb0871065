#include "base/h5.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace actsweep {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class H5 : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name = "a.h5") const { return folder_ + "/" + name; }

  std::string folder_ = testing::TempDir() + "actsweep-XXXXXX";
};

template <typename Work>
std::string message_of(ErrorKind kind, Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

TEST_F(H5, AttributesComeBackAsTheyWere) {
  H5File file = H5File::create(path(), ErrorKind::kOutput);
  const std::vector<Attribute> written = {{"number", int64_t{-5}},
                                          {"real", 0.1},
                                          {"text", std::string("≥ é")},
                                          {"empty", std::string()}};
  for (const auto& attribute : written) file.write_attribute(attribute);
  file.close();

  const H5File again = H5File::open(path(), ErrorKind::kOutput);
  for (const auto& attribute : written) {
    EXPECT_EQ(again.read_attribute(attribute.name), attribute.value) << attribute.name;
  }
  EXPECT_EQ(again.attribute_names(), (std::vector<std::string>{"empty", "number", "real", "text"}));
  EXPECT_FALSE(again.has_attribute("other"));
}

TEST_F(H5, TextsOfFixedLengthAreReadUpToTheirEnd) {
  H5File file = H5File::create(path(), ErrorKind::kOutput);
  const H5Id type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), 8);
  const H5Id space(H5Screate(H5S_SCALAR), H5Sclose);
  {
    const H5Id attribute(
        H5Acreate2(file.id(), "text", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    H5Awrite(attribute.get(), type.get(), "abc\0\0\0\0");
  }
  EXPECT_EQ(file.read_text("text"), "abc");
}

TEST_F(H5, MissingAndMistypedAttributesAreErrorsThatNameThem) {
  const H5File file = H5File::create(path(), ErrorKind::kCorpus);
  file.write_attribute({"number", int64_t{1}});
  EXPECT_THAT(message_of(ErrorKind::kCorpus, [&] { file.read_text("number"); }),
              AllOf(HasSubstr(path()), HasSubstr("'number'"), HasSubstr("not a text")));
  EXPECT_THAT(message_of(ErrorKind::kCorpus, [&] { file.read_int("other"); }),
              AllOf(HasSubstr(path()), HasSubstr("no attribute 'other'")));
}

TEST_F(H5, PartsOfDatasetsAreWrittenAndRead) {
  const H5File file = H5File::create(path(), ErrorKind::kOutput);
  const H5Dataset dataset = file.create_dataset("group/deep/x", H5T_STD_I32LE, {2, 3});
  const std::vector<int> all = {1, 2, 3, 4, 5, 6}, part = {20, 30};
  dataset.write_all(H5T_NATIVE_INT, all.data());
  dataset.write(H5T_NATIVE_INT, {{0, 1}, {1, 2}}, part.data());
  std::vector<int> found(4);
  dataset.read(H5T_NATIVE_INT, {{0, 1}, {2, 2}}, found.data());
  EXPECT_EQ(found, (std::vector<int>{20, 30, 5, 6}));
  dataset.write(H5T_NATIVE_INT, {{0, 0}, {0, 3}}, nullptr);  // nothing
  EXPECT_EQ(dataset.shape(), (std::vector<hsize_t>{2, 3}));
  EXPECT_EQ(file.dataset_paths(), std::vector<std::string>{"group/deep/x"});
}

TEST_F(H5, ScalarsAndEmptyDatasetsWork) {
  const H5File file = H5File::create(path(), ErrorKind::kOutput);
  const double value = 2.5;
  const H5Dataset scalar = file.create_dataset("scalar", H5T_IEEE_F64LE, {});
  scalar.write(H5T_NATIVE_DOUBLE, {}, &value);
  double found = 0;
  scalar.read(H5T_NATIVE_DOUBLE, {}, &found);
  EXPECT_EQ(found, 2.5);
  EXPECT_EQ(file.create_dataset("empty", H5T_IEEE_F64LE, {3, 0}).shape(),
            (std::vector<hsize_t>{3, 0}));
}

TEST_F(H5, ContainsLooksAtEveryStepOfThePath) {
  const H5File file = H5File::create(path(), ErrorKind::kOutput);
  file.create_dataset("a/b", H5T_STD_I32LE, {1});
  EXPECT_TRUE(file.contains("a"));
  EXPECT_TRUE(file.contains("a/b"));
  EXPECT_FALSE(file.contains("a/c"));
  EXPECT_FALSE(file.contains("x/y/z"));
}

TEST_F(H5, ContiguousDatasetsLieAtTheirOffset) {
  const std::vector<uint32_t> values = {7, 8, 9};
  int64_t offset = 0;
  {
    H5File file = H5File::create(path(), ErrorKind::kOutput);
    {
      const H5Dataset dataset = file.create_dataset("x", H5T_STD_U32LE, {3});
      dataset.write_all(H5T_NATIVE_UINT32, values.data());
      offset = dataset.file_offset();
    }
    file.close();
  }
  std::ifstream raw(path(), std::ios::binary);
  raw.seekg(offset);
  std::vector<uint32_t> found(3);
  raw.read(reinterpret_cast<char*>(found.data()), 12);
  EXPECT_EQ(found, values);
}

TEST_F(H5, FailuresNameFileObjectAndReason) {
  EXPECT_THAT(
      message_of(ErrorKind::kModel, [&] { H5File::open(path("none.h5"), ErrorKind::kModel); }),
      AllOf(HasSubstr("none.h5"), HasSubstr("No such file or directory")));
  std::ofstream(path("text.h5")) << "not HDF5";
  EXPECT_THAT(
      message_of(ErrorKind::kCorpus, [&] { H5File::open(path("text.h5"), ErrorKind::kCorpus); }),
      AllOf(HasSubstr("text.h5"), HasSubstr("expected an HDF5 file, found a file of another kind")));
  const H5File file = H5File::create(path(), ErrorKind::kOutput);
  EXPECT_THAT(message_of(ErrorKind::kOutput, [&] { file.dataset("x"); }),
              AllOf(HasSubstr(path()), HasSubstr("/x")));
  const H5Dataset dataset = file.create_dataset("y", H5T_STD_U32LE, {3});
  uint32_t value = 0;
  EXPECT_THAT(message_of(ErrorKind::kOutput,
                         [&] {
                           dataset.read(H5T_NATIVE_UINT32, {{3}, {1}}, &value);
                         }),
              AllOf(HasSubstr(path()), HasSubstr("/y")));
}

TEST_F(H5, FileThatIsNeverClosedIsAbandoned) {
  {
    const H5File file = H5File::create(path(), ErrorKind::kOutput);
    file.write_attribute({"number", int64_t{1}});
  }
  EXPECT_THAT(message_of(ErrorKind::kOutput, [&] { H5File::open(path(), ErrorKind::kOutput); }),
              HasSubstr(path()));
}

TEST_F(H5, ClosingUnderAnOpenDatasetIsAMistake) {
  H5File file = H5File::create(path(), ErrorKind::kOutput);
  const H5Dataset dataset = file.create_dataset("x", H5T_STD_U32LE, {3});
  EXPECT_THROW(file.close(), std::logic_error);
}

TEST_F(H5, ClosedFileHoldsEverything) {
  {
    H5File file = H5File::create(path(), ErrorKind::kOutput);
    file.create_dataset("x", H5T_STD_U32LE, {3});
    file.close();
  }
  {
    H5File file = H5File::open_for_writing(path(), ErrorKind::kOutput);
    file.write_attribute({"number", int64_t{1}});
    file.close();
  }
  const H5File file = H5File::open(path(), ErrorKind::kOutput);
  EXPECT_TRUE(file.contains("x"));
  EXPECT_EQ(file.read_int("number"), 1);
}

}  // namespace
}  // namespace actsweep
