#include "base/content_hash.h"

#include <xxhash.h>

#include "base/error.h"

namespace actsweep {

struct ContentHash::State {
  XXH3_state_t* value = XXH3_createState();
  ~State() { XXH3_freeState(value); }
};

ContentHash::ContentHash() : state_(std::make_unique<State>()) {
  ensure(XXH3_128bits_reset(state_->value) == XXH_OK, "XXH3 begins");
}

ContentHash::~ContentHash() = default;

void ContentHash::add(std::span<const std::byte> bytes) {
  ensure(XXH3_128bits_update(state_->value, bytes.data(), bytes.size()) == XXH_OK, "XXH3 updates");
}

void ContentHash::add(std::string_view text) { add(std::as_bytes(std::span(text))); }

std::string ContentHash::hex() const {
  const auto digest = XXH3_128bits_digest(state_->value);
  return fmt::format("{:016x}{:016x}", digest.high64, digest.low64);
}

}  // namespace actsweep
