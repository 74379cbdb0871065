#include "base/stand_in.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <string_view>

namespace actsweep {
namespace {

constexpr std::string_view kPointer = "version https://git-lfs.github.com/spec/";
constexpr size_t kShown = 40;  // characters of a text

std::string first_bytes(const std::string& path) {
  std::array<char, 256> bytes{};
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), bytes.size());
  return {bytes.data(), static_cast<size_t>(file.gcount())};
}

bool is_page(std::string_view begin) {
  std::string text;
  for (const char c : begin) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0 || !text.empty()) {
      text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return text.starts_with("<!doctype html") || text.starts_with("<html");
}

std::string stand_in(std::string_view begin) {
  if (begin.starts_with(kPointer)) {
    return "is a Git LFS pointer, not the file: run `git lfs pull` in its directory";
  }
  if (is_page(begin)) return "is an HTML page, not the file: download it again";
  return "";
}

/// The header's length, in the first eight bytes, has zeros among them; a text has none.
bool is_text(std::string_view begin) {
  return begin.size() >= 8 && std::all_of(begin.begin(), begin.end(), [](unsigned char c) {
           return std::isprint(c) != 0 || std::isspace(c) != 0;
         });
}

}  // namespace

std::string stand_in_for_json(const std::string& path) { return stand_in(first_bytes(path)); }

std::string stand_in_for_safetensors(const std::string& path) {
  const auto begin = first_bytes(path);
  if (auto known = stand_in(begin); !known.empty()) return known;
  if (begin.size() > 8 && begin[8] == '{') return "";  // a header, whatever its length looks like
  if (begin.starts_with("GGUF")) {
    return "is a GGUF file: data/prepare_model.py gguf makes a checkpoint of it";
  }
  if (begin.starts_with("PK\x03\x04") || begin.starts_with("\x80\x02")) {
    return "is a PyTorch file, not safetensors: load it with transformers and save it with "
           "save_pretrained";
  }
  if (begin.starts_with("\x1f\x8b")) return "is compressed by gzip, not safetensors: unpack it";
  if (!is_text(begin)) return "";
  const auto line = begin.substr(0, std::min(begin.find('\n'), kShown));
  return fmt::format("is text that begins \"{}\", not the file: download it again", line);
}

}  // namespace actsweep
