// EXPECT_* for errors by kind and words.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace actsweep {

/// `work` throws an Error of this kind whose message holds all of the words.
template <typename Work>
void expect_error(ErrorKind kind, const std::vector<std::string>& words, Work&& work) {
  try {
    work();
    ADD_FAILURE() << "no error was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    for (const auto& word : words) EXPECT_THAT(error.what(), testing::HasSubstr(word));
  }
}

}  // namespace actsweep
