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

std::optional<double> signalled_stop_s() {
  return caught_signal == 0 ? std::nullopt : std::optional(grace_s());
}

std::optional<double> StopWatch::left_s() const {
  return is_asked_ ? std::optional(deadline_s_ - now_s()) : std::nullopt;
}

/// Of a stop of which a member has just learnt.
void StopWatch::begin(const Group& group, const Knowledge& mine) {
  const bool is_told = mine.told_s && caught_signal == 0;
  const double left_s = is_told ? *mine.told_s : grace_s();
  is_asked_ = true;
  deadline_s_ = now_s() + left_s;
  if (group.rank() != 0) return;
  spdlog::info("a stop was asked for{}: {:.0f} s left", is_told ? " in another model group" : "",
               left_s);
}

Verdict StopWatch::after_layer(const Group& group, const Knowledge& mine) {
  auto own = caught_signal != 0 || mine.told_s ? Verdict::kFinishSegment : Verdict::kGoOn;
  if (is_asked_ && group.rank() == 0) {
    const bool is_in_time =
        mine.segment_left_s >= 0 && now_s() + mine.segment_left_s + kCommitMargin_s < deadline_s_;
    own = is_in_time ? Verdict::kFinishSegment : Verdict::kDropSegment;
  }
  if (mine.has_failed) own = Verdict::kFailed;
  const auto verdict = static_cast<Verdict>(group.largest(static_cast<int>(own)));
  const bool is_stop = verdict == Verdict::kFinishSegment || verdict == Verdict::kDropSegment;
  if (is_stop && !is_asked_) begin(group, mine);
  return verdict;
}

}  // namespace actsweep
