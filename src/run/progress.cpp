#include "run/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace actsweep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string clock_text(double seconds) {
  const auto s = static_cast<int64_t>(std::max(0.0, seconds));
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace

Progress::Progress(int64_t tokens, int64_t layers, bool is_speaker)
    : tokens_(tokens),
      layers_(layers),
      is_speaker_(is_speaker),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      shown_(start_) {}

Progress::~Progress() {
  if (token_layers_done_ > 0) show(true);
}

double Progress::elapsed_s() const { return seconds_since(start_); }

double Progress::share() const {
  const double done = replicas_ * static_cast<double>(token_layers_done_);
  return std::min(1.0, done / static_cast<double>(std::max<int64_t>(1, tokens_ * layers_)));
}

double Progress::tokens_per_s() const {
  return share() * static_cast<double>(tokens_) / std::max(1e-9, elapsed_s());
}

double Progress::seconds_for(int64_t token_layers) const {
  if (token_layers_done_ == 0) return -1;
  return elapsed_s() * static_cast<double>(token_layers) / static_cast<double>(token_layers_done_);
}

void Progress::layer_done(int64_t tokens) {
  token_layers_done_ += tokens;
  if (is_speaker_ && seconds_since(shown_) > (is_terminal_ ? 0.2 : 60.0)) show(false);
}

std::string Progress::line() const {
  const double rate = tokens_per_s(), all = static_cast<double>(tokens_);
  const double left_s = all * (1 - share()) / std::max(1e-9, rate);
  return fmt::format("{:5.1f} % | {:.0f} of {} tokens | {:.0f} tokens/s | {} gone, {} left",
                     100 * share(), share() * all, tokens_, rate, clock_text(elapsed_s()),
                     clock_text(left_s));
}

void Progress::show(bool is_last) {
  if (!is_speaker_) return;
  shown_ = Clock::now();
  if (!is_terminal_) {
    spdlog::info("{}", line());
    return;
  }
  fmt::print(stderr, "\r{}\x1b[K{}", line(), is_last ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace actsweep
