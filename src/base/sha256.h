// SHA-256 over pieces, by OpenSSL.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace actsweep {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  /// The digest in hexadecimal; ends the object's use.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace actsweep
