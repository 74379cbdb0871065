// A job file that lives as long as one test.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.h"
#include "job/job.h"

namespace actsweep {

class JobFile {
 public:
  explicit JobFile(const std::string& text) : path_(testing::TempDir() + "actsweep_job_XXXXXX") {
    const int descriptor = ::mkstemp(path_.data());
    if (descriptor < 0) throw std::runtime_error("cannot make " + path_);
    ::close(descriptor);
    std::ofstream(path_) << text;
  }
  ~JobFile() { std::filesystem::remove(path_); }
  JobFile(const JobFile&) = delete;
  JobFile& operator=(const JobFile&) = delete;

  const std::string& path() const { return path_; }
  Job load(const std::vector<std::string>& overrides = {}) const {
    return load_job(path(), overrides);
  }

  /// The lines of the refusal, with the path of the file as JOB; a job that is accepted fails the
  /// test.
  std::vector<std::string> mistakes(const std::vector<std::string>& overrides = {}) const {
    try {
      load(overrides);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kJob);
      return lines_of(error.what());
    }
    ADD_FAILURE() << "the job was accepted";
    return {};
  }

 private:
  std::vector<std::string> lines_of(const std::string& message) const {
    std::vector<std::string> lines(1);
    for (size_t i = 0; i < message.size(); ++i) {
      if (message.compare(i, path().size(), path()) == 0) {
        lines.back() += "JOB";
        i += path().size() - 1;
      } else if (message[i] == '\n') {
        lines.emplace_back();
      } else {
        lines.back() += message[i];
      }
    }
    return lines;
  }

  std::string path_;
};

/// The smallest job: the required keys, in lines 1 to 6.
inline const char* const kSmallestJob =
    "[model]\npath = 'm'\n[corpus]\npath = 'c.h5'\n[output]\npath = 'o.h5'\n";

}  // namespace actsweep
