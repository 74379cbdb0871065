// Errors with an exit code each, and checks of our own mistakes.
//
// In: a kind, a format string and its arguments. Out: an Error that main.cpp turns into a message
// and an exit code. An Error names the object, what was expected, what was found, and the file.
// `ensure` is for mistakes of this program alone; it cannot be reached from a job, a corpus or a
// checkpoint.
#pragma once

#include <fmt/format.h>

#include <source_location>
#include <stdexcept>
#include <string>

namespace actsweep {

/// The exit codes of the program, by what was at fault.
enum class ErrorKind : int { kJob = 2, kCorpus = 3, kModel = 4, kDevice = 5, kOutput = 6 };

/// Something that the user can mend. Thrown where found, caught in main alone.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }
  int exit_code() const { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// Throws an Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

/// Throws an Error with a formatted message unless `ok`.
template <typename... Args>
void require(bool ok, ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) fail(kind, format, std::forward<Args>(args)...);
}

/// Throws std::logic_error naming the place of the call unless `ok`: a mistake of this program.
void ensure(bool ok, const char* claim,
            std::source_location where = std::source_location::current());

}  // namespace actsweep
