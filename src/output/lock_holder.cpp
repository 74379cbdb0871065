#include "output/lock_holder.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <sstream>
#include <thread>

#include "base/error.h"
#include "output/run_lock.h"

namespace actsweep {
namespace {

constexpr int kUnwritten_ms = 2000;  // that a lock may be empty while it is taken

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int64_t number_of(const std::string& text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

double seconds_of(const timespec& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// Now, by the clock that gives files of this folder their times.
double disk_clock_s(const std::string& beside) {
  const std::string path = partial_of(beside + "-clock");
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  struct stat state {};
  if (descriptor < 0 || ::fstat(descriptor, &state) != 0)
    ::clock_gettime(CLOCK_REALTIME, &state.st_mtim);
  if (descriptor >= 0) {
    ::close(descriptor);
    ::unlink(path.c_str());
  }
  return seconds_of(state.st_mtim);
}

/// Whether the holder's process has its number where this process has its own.
bool is_here(const LockHolder& holder) {
  const auto place = this_process().place;
  return holder.process && !place.empty() && holder.process->place == place;
}

}  // namespace

std::string text_of_this_run() {
  const auto process = this_process();
  std::string text = fmt::format("host {}\nplace {}\nprocess {}\nprocess_start {}\n", process.host,
                                 process.place, process.number, process.start);
  if (const auto job = variable("SLURM_JOB_ID"); !job.empty()) {
    text += fmt::format("job {}\ncluster {}\nrestart {}\n", job, variable("SLURM_CLUSTER_NAME"),
                        number_of(variable("SLURM_RESTART_COUNT")));
  }
  return text + fmt::format("started {:%Y-%m-%dT%H:%M:%SZ}\n", fmt::gmtime(std::time(nullptr)));
}

LockHolder parse_lock(const std::string& text) {
  std::map<std::string, std::string> values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    if (space != std::string::npos) values[line.substr(0, space)] = line.substr(space + 1);
  }
  LockHolder holder;
  if (!values.contains("started")) return holder;  // the last line: the text is not whole
  holder.process =
      Process{values["host"], values["place"], static_cast<pid_t>(number_of(values["process"])),
              number_of(values["process_start"])};
  holder.job = values["job"];
  holder.cluster = values["cluster"];
  holder.restart = number_of(values["restart"]);
  holder.started = values["started"];
  return holder;
}

bool is_ended(const LockHolder& holder) {
  const bool is_silent = holder.silent_s > kSilence_s;
  if (!holder.process) return is_silent;
  const bool is_earlier_start = !holder.job.empty() && holder.job == variable("SLURM_JOB_ID") &&
                                holder.cluster == variable("SLURM_CLUSTER_NAME") &&
                                holder.restart < number_of(variable("SLURM_RESTART_COUNT"));
  if (is_earlier_start) return true;
  return is_here(holder) ? !is_alive(*holder.process) : is_silent;
}

std::string describe(const LockHolder& holder) {
  if (!holder.process) return "a run that has not said yet who it is";
  return fmt::format("process {} on {}{}, started {}", holder.process->number, holder.process->host,
                     holder.job.empty() ? "" : fmt::format(" (Slurm job {})", holder.job),
                     holder.started);
}

std::string how_to_go_on(const LockHolder& holder, const std::string& lock) {
  if (is_here(holder)) return fmt::format("it is running, and holds {}", lock);
  return fmt::format(
      "its last sign of life is {:.0f} s old, and after {} s it counts as ended; if it has ended, "
      "remove {}",
      std::max(0.0, holder.silent_s), kSilence_s, lock);
}

bool is_lock_name(const std::string& name) {
  if (!name.starts_with("lock")) return false;
  const std::string rest = name.substr(4);
  return rest.empty() || (rest.find("-of-") != std::string::npos &&
                          rest.find_first_not_of("-of0123456789") == std::string::npos);
}

OpenLock::OpenLock(const std::string& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
  // Another user's: to be read.
  if (descriptor_ < 0 && errno == EACCES) descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(descriptor_ >= 0 || errno == ENOENT, ErrorKind::kOutput, "{}: cannot open the lock: {}",
          path, std::strerror(errno));
}

OpenLock::~OpenLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::string OpenLock::text() const {
  std::array<char, 4096> buffer{};
  const ssize_t size = ::pread(descriptor_, buffer.data(), buffer.size(), 0);
  return {buffer.data(), static_cast<size_t>(std::max<ssize_t>(0, size))};
}

LockHolder OpenLock::holder() const {
  LockHolder holder = parse_lock(text());
  struct stat state {};
  ::fstat(descriptor_, &state);
  holder.silent_s = disk_clock_s(path_) - seconds_of(state.st_mtim);
  for (int waited_ms = 0;
       !holder.process && holder.silent_s < kSilence_s && waited_ms < kUnwritten_ms;
       waited_ms += 50) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double silent_s = holder.silent_s;
    holder = parse_lock(text());
    holder.silent_s = silent_s;
  }
  return holder;
}

bool OpenLock::reserve() const {
  return ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

}  // namespace actsweep
