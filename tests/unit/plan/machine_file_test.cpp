#include "plan/machine_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"

namespace actsweep {
namespace {

using testing::HasSubstr;

const std::string kFolder = ACTSWEEP_MACHINES;

std::string text_of(const std::string& name) {
  std::ifstream file(kFolder + "/" + name + ".toml");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What is said of h100-8 with `from` replaced.
std::string mistake_of(const std::string& from, const std::string& to) {
  auto text = text_of("h100-8");
  text.replace(text.find(from), from.size(), to);
  const std::string path = testing::TempDir() + "machine.toml";
  std::ofstream(path) << text;
  try {
    read_machine(path, kFolder, Dtype::kBFloat16, {});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kJob);
    return error.what();
  }
  return "accepted";
}

TEST(MachineFile, ShippedOnesAreRead) {
  for (const std::string name : {"h100-8", "h200-8", "a100-8", "cpu"}) {
    const auto machine = read_machine(name, kFolder, Dtype::kBFloat16, {});
    EXPECT_EQ(machine.name, name);
    EXPECT_EQ(machine.is_gpu, name != "cpu");
    EXPECT_EQ(machine.ranks, name == "cpu" ? 1 : 8);
    EXPECT_GT(machine.rates.products, machine.rates.float32_products);
  }
}

TEST(MachineFile, RanksMakeNodes) {
  const auto machine = read_machine("h100-8", kFolder, Dtype::kFloat32, 64);
  EXPECT_EQ(machine.ranks, 64);
  EXPECT_EQ(machine.nodes(), 8);
  EXPECT_DOUBLE_EQ(machine.rates.products, 50e12);
  EXPECT_NEAR(static_cast<double>(machine.memory_bytes), 0.8 * 79.1 * (1 << 30), 1);
}

TEST(MachineFile, MistakesAreNamed) {
  EXPECT_THAT(mistake_of("half_tflops = 650", "half_tflops = \"many\""),
              HasSubstr("half_tflops: expected a number above 0, found \"many\""));
  EXPECT_THAT(mistake_of("link_gb_s = 370", "link_gb_s = 0"),
              HasSubstr("link_gb_s: expected a number above 0, found 0"));
  EXPECT_THAT(mistake_of("start_s = 20", ""),
              HasSubstr("start_s: expected a number, found no such"));
  EXPECT_THAT(mistake_of("start_s = 20", "start_s = 20\nwheels = 4"),
              HasSubstr("wheels: expected one of"));
  EXPECT_THAT(mistake_of("gpus = true", "gpus = 1"), HasSubstr("gpus: expected true or false"));
  EXPECT_THAT(mistake_of("nodes = 1", "nodes = 1.5"), HasSubstr("nodes: expected a whole number"));
  EXPECT_THAT(mistake_of("gpus = true", "gpus = "), HasSubstr("not TOML"));
}

TEST(MachineFile, NamesThatAreNotThereAreRefusedWithThoseThatAre) {
  EXPECT_THROW(read_machine("nowhere/h100.toml", kFolder, Dtype::kBFloat16, {}), Error);
  try {
    read_machine("h101-8", kFolder, Dtype::kBFloat16, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("a100-8, cpu, h100-8, h200-8"));
  }
}

}  // namespace
}  // namespace actsweep
