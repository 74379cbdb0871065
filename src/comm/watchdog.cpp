#include "comm/watchdog.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <utility>

#include "base/error.h"

namespace actsweep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPause(1);
constexpr double kLongestLook_s = 2;  // of one pause: what is above was not watched
constexpr std::chrono::seconds kLastWords(2);

}  // namespace

void Silence::look(uint64_t beat, double elapsed_s) {
  seconds_ = beat == beat_ ? seconds_ + std::min(elapsed_s, kLongestLook_s) : 0;
  beat_ = beat;
}

Watchdog::Watchdog(Rank rank, const Heartbeat& heartbeat, std::function<void()> before_end)
    : rank_(std::move(rank)),
      heartbeat_(heartbeat),
      before_end_(std::move(before_end)),
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

void Watchdog::ask(Question question) {
  const std::lock_guard lock(mutex_);
  question_ = std::move(question);
}

std::string Watchdog::report(const std::string& trouble) const {
  return fmt::format("rank {} of {} on node {}, device {}: {}; last step: {}, {:.0f} s ago",
                     rank_.number, rank_.size, rank_.node, rank_.device, trouble,
                     heartbeat_.last().step, silence_.seconds());
}

/// An error counts when it has been there for two looks: the main thread, which meets it too, may
/// report it in words of its own.
std::string Watchdog::trouble() {
  {
    const std::lock_guard lock(mutex_);
    const auto before = std::exchange(answer_, question_ ? question_() : "");
    if (!before.empty() && !answer_.empty()) return answer_;
  }
  const auto patience_s = heartbeat_.last().patience_s;
  if (patience_s <= 0 || silence_.seconds() < patience_s) return "";
  return fmt::format(
      "expected a step within {:.0f} s ([parallel] patience_s and what the work adds), found none: "
      "another rank, the network, a disk or the device does not answer",
      patience_s);
}

void Watchdog::watch(const std::stop_token& stop) {
  auto looked = Clock::now();
  std::unique_lock lock(sleep_);
  while (!woken_.wait_for(lock, stop, kPause, [&] { return stop.stop_requested(); })) {
    const auto now = Clock::now();
    silence_.look(heartbeat_.last().number, std::chrono::duration<double>(now - looked).count());
    looked = now;
    if (const auto found = trouble(); !found.empty()) end(found);
  }
}

void Watchdog::end(const std::string& trouble) {
  spdlog::error("{}", report(trouble));
  spdlog::default_logger()->flush();
  // On a thread of its own: a file system that does not answer may be the trouble.
  std::promise<void> done;
  std::thread([&] {
    before_end_();
    done.set_value();
  }).detach();
  done.get_future().wait_for(kLastWords);
  std::_Exit(static_cast<int>(ErrorKind::kDevice));
}

}  // namespace actsweep
