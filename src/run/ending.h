// How a run ends by an exception: what it says, and its exit code.
#pragma once

#include <exception>
#include <functional>
#include <string>

namespace actsweep {

struct Ending {
  std::string message;
  int code = 1;  // a mistake of the program
};

/// Of an Error its own kind; of LibTorch's errors (a kernel that failed, memory of a device that
/// ran out) ErrorKind::kDevice.
Ending ending_of(const std::exception_ptr& error);

/// While it lives, what ends the process where an exception reaches no handler: one that a
/// destructor throws while another is under way, as LibTorch's do once a device has failed. One at
/// a time; `end` does not return.
class UncaughtEnd {
 public:
  explicit UncaughtEnd(std::function<void(const Ending&)> end);
  ~UncaughtEnd();
  UncaughtEnd(const UncaughtEnd&) = delete;
  UncaughtEnd& operator=(const UncaughtEnd&) = delete;
};

}  // namespace actsweep
