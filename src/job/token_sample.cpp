#include "job/token_sample.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "base/splitmix.h"

namespace actsweep {
namespace {

constexpr std::string_view kRandom = "random:";

}  // namespace

bool TokenSample::has(int64_t token) const {
  ensure(is_known(), "a token with an event is not known by its number");
  if (kind != Kind::kRandom) return kind == Kind::kAll;
  return splitmix_part(seed, static_cast<uint64_t>(token)) < ratio;
}

int64_t TokenSample::count(int64_t begin, int64_t end) const {
  if (kind == Kind::kAll) return end - begin;
  int64_t found = 0;
  for (int64_t token = begin; token < end; ++token) found += has(token) ? 1 : 0;
  return found;
}

int64_t TokenSample::expected(int64_t tokens) const {
  if (kind == Kind::kAll) return tokens;
  return kind == Kind::kRandom ? std::llround(ratio * static_cast<double>(tokens)) : 0;
}

std::optional<TokenSample> parse_sample(const std::string& text) {
  using Kind = TokenSample::Kind;
  if (text == "all") return TokenSample{Kind::kAll};
  if (text == "events") return TokenSample{Kind::kEvents};
  if (!text.starts_with(kRandom)) return std::nullopt;
  double ratio = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + kRandom.size(), end, ratio);
  const bool is_part = read.ec == std::errc() && read.ptr == end && ratio > 0 && ratio <= 1;
  if (!is_part) return std::nullopt;
  return TokenSample{Kind::kRandom, ratio};
}

std::vector<std::string> sample_words() { return {"all", "events"}; }

TokenSample sample_of(const Job::Store& store) {
  if (store.sites.empty()) return {};
  auto sample = parse_sample(store.tokens).value();
  sample.seed = static_cast<uint64_t>(store.seed);
  return sample;
}

}  // namespace actsweep
