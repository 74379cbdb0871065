#include "output/process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace actsweep {
namespace {

constexpr const char* kPartial = ".partial";

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  ::gethostname(name.data(), HOST_NAME_MAX);
  return name.data();
}

std::string place_of_numbers() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  file >> boot;
  std::error_code ignored;
  const auto numbers = std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();
  return boot.empty() || numbers.empty() ? "" : boot + "/" + numbers;
}

/// When a process began, in clock ticks since boot; nothing where it has ended, reaped or not.
std::optional<int64_t> start_of(pid_t number) {
  std::ifstream file(fmt::format("/proc/{}/stat", number));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t name_end = text.rfind(')');  // the name before it may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return std::nullopt;
  for (int i = 4; i <= 22; ++i) fields >> field;
  int64_t start = 0;
  return std::istringstream(field) >> start ? std::optional(start) : std::nullopt;
}

}  // namespace

Process this_process() {
  const pid_t number = ::getpid();
  return {host_name(), place_of_numbers(), number, start_of(number).value_or(0)};
}

bool is_alive(const Process& process) { return start_of(process.number) == process.start; }

std::string partial_of(const std::string& path) {
  const std::string host = host_name();
  return fmt::format("{}{}-{}-{}", path, kPartial, host.substr(0, host.find('.')), ::getpid());
}

bool is_partial_of(const std::string& name, const std::string& of) {
  return name == of + kPartial || name.starts_with(of + kPartial + "-");
}

}  // namespace actsweep
