// The fingerprint of a checkpoint whose file does not stay as it is; what of it is known before.
#include "checkpoint/model_fingerprint.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/error.h"
#include "checkpoint/tiny_checkpoint.h"

namespace actsweep {
namespace {

const nlohmann::json kConfig = {{"model_type", "gpt2"}, {"n_layer", 2},      {"n_embd", 12},
                                {"n_head", 3},          {"n_positions", 16}, {"vocab_size", 11}};

/// A folder for digests that lives as long as one test.
class ModelFingerprint : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(setenv("XDG_CACHE_HOME", caches_.path().c_str(), 1), 0); }

  TemporaryFolder caches_;
};

/// Until the times of a change would differ from the file's.
void let_it_settle() { std::this_thread::sleep_for(std::chrono::milliseconds(100)); }

void change_last_byte(const TinyCheckpoint& tiny) {
  std::fstream file(tiny.path() + "/model.safetensors", std::ios::in | std::ios::out);
  file.seekg(-1, std::ios::end);
  const char changed = static_cast<char>(file.get() ^ 1);
  file.seekp(-1, std::ios::end);
  file.put(changed);
}

TEST_F(ModelFingerprint, IsKnownOnceAllIsRead) {
  const TinyCheckpoint tiny(kConfig);
  const Checkpoint checkpoint(tiny.path());
  EXPECT_FALSE(known_fingerprint_of(checkpoint).has_value());
  let_it_settle();
  const auto whole = fingerprint_of(checkpoint);
  EXPECT_EQ(whole.size(), 64);
  EXPECT_EQ(known_fingerprint_of(checkpoint), whole);
}

TEST_F(ModelFingerprint, OfAFileThatHasJustChangedIsNotKept) {
  const TinyCheckpoint tiny(kConfig);
  change_last_byte(tiny);
  const Checkpoint checkpoint(tiny.path());
  const auto start = std::chrono::steady_clock::now();
  fingerprint_of(checkpoint);
  if (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(40)) {
    EXPECT_FALSE(known_fingerprint_of(checkpoint).has_value());
  }
}

TEST_F(ModelFingerprint, OfAnotherByteIsAnother) {
  const TinyCheckpoint tiny(kConfig);
  const auto before = fingerprint_of(Checkpoint(tiny.path()));
  change_last_byte(tiny);
  EXPECT_NE(fingerprint_of(Checkpoint(tiny.path())), before);
}

TEST_F(ModelFingerprint, OfAFileThatChangesMeanwhileIsRefused) {
  const TinyCheckpoint tiny(kConfig);
  const Checkpoint checkpoint(tiny.path());
  let_it_settle();
  change_last_byte(tiny);
  try {
    fingerprint_of(checkpoint);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 4);
    EXPECT_NE(std::string(error.what()).find("has changed while it was read"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace actsweep
