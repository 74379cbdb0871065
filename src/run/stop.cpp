#include "run/stop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string>

namespace actsweep {
namespace {

constexpr double kTermGrace_s = 20;
constexpr double kCommitMargin_s = 2;

// Written by the handler alone; a handler can reach nothing but a static.
volatile std::sig_atomic_t caught_signal = 0;

extern "C" void remember_signal(int signal) { caught_signal = signal; }

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds until the batch system ends the job, or `fallback` where it does not say.
double seconds_to_job_end(double fallback) {
  const char* end = std::getenv("SLURM_JOB_END_TIME");
  if (end == nullptr) return fallback;
  char* rest = nullptr;
  const double end_s = std::strtod(end, &rest);
  if (rest == end || *rest != '\0') return fallback;
  return end_s - static_cast<double>(std::time(nullptr));
}

double grace_s() {
  return caught_signal == SIGUSR1 ? seconds_to_job_end(kTermGrace_s)
                                  : std::min(kTermGrace_s, seconds_to_job_end(kTermGrace_s));
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = remember_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
}

Verdict StopWatch::after_layer(const Group& group, bool failed, double segment_left_s) {
  auto mine = caught_signal != 0 ? Verdict::kFinishSegment : Verdict::kGoOn;
  if (is_asked_ && group.rank() == 0) {
    const bool is_in_time =
        segment_left_s >= 0 && now_s() + segment_left_s + kCommitMargin_s < deadline_s_;
    mine = is_in_time ? Verdict::kFinishSegment : Verdict::kDropSegment;
  }
  if (failed) mine = Verdict::kFailed;
  const auto verdict = static_cast<Verdict>(group.largest(static_cast<int>(mine)));
  if (verdict != Verdict::kGoOn && !is_asked_) {
    is_asked_ = true;
    deadline_s_ = now_s() + grace_s();
    if (group.rank() == 0 && verdict != Verdict::kFailed) {
      spdlog::info("a stop was asked for: {:.0f} s left", deadline_s_ - now_s());
    }
  }
  return verdict;
}

}  // namespace actsweep
