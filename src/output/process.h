// Which process this is among all that may write to a disk that several nodes share, and whether
// another one of this node still lives.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace actsweep {

struct Process {
  std::string host;
  /// Where a process number means one thing: the boot of a kernel and the namespace of its numbers.
  /// Empty where the system does not say.
  std::string place;
  pid_t number = 0;
  int64_t start = 0;  // clock ticks since boot: tells it from a later process of the same number
};

Process this_process();
/// Whether a process of this place lives; a process of another place is not asked for.
bool is_alive(const Process& process);

/// The name under which this process writes what will be `path`; no other has the same.
std::string partial_of(const std::string& path);
/// Whether `name` is that of an unfinished file of any process that would have become `of`.
bool is_partial_of(const std::string& name, const std::string& of);

}  // namespace actsweep
