#include "base/json_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

namespace actsweep {
namespace {

using nlohmann::json;

constexpr int kMostLevels = 1000;
constexpr size_t kMostDigits = 4300;  // Python's limit for whole numbers

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Bytes of the UTF-8 sequence that begins a text; 0 where none does.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80, high = first == 0xED ? 0x9F : 0xBF;
    return follows(1, low, high) && follows(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80, high = first == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& text, unsigned code) {
  const auto put = [&](unsigned byte) { text += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6), put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F)), put(0x80 | (code & 0x3F));
  }
}

class JsonText {
 public:
  JsonText(std::string_view text, const std::string& name, ErrorKind kind)
      : text_(text), name_(name), kind_(kind) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
  }

  json whole() {
    check_utf8();
    skip_space();
    auto value = read_value(0);
    skip_space();
    if (at_ != text_.size()) refuse("the end");
    return value;
  }

 private:
  /// The place in lines and characters, both from 1.
  std::string place() const {
    const auto before = text_.substr(0, at_);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const auto last = before.substr(before.rfind('\n') + 1);
    const auto column = std::count_if(last.begin(), last.end(), [](char c) {
      return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    });
    return fmt::format("line {}, column {}", line, column + 1);
  }

  [[noreturn]] void refuse(std::string_view expected) const {
    std::string found = "the end of the file";
    if (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      const auto length = std::max<size_t>(utf8_length(text_.substr(at_)), 1);
      found = c < 0x20 ? fmt::format("the control character {}", c)
                       : fmt::format("\"{}\"", text_.substr(at_, length));
    }
    fail(kind_, "{}: is not JSON: {}: expected {}, found {}", name_, place(), expected, found);
  }

  void check_utf8() {
    for (at_ = 0; at_ < text_.size();) {
      const auto length = utf8_length(text_.substr(at_));
      if (length == 0) {
        const auto byte = static_cast<unsigned char>(text_[at_]);
        fail(kind_, "{}: is not JSON: {}: expected UTF-8, found the byte 0x{:02x}", name_, place(),
             byte);
      }
      at_ += length;
    }
    at_ = 0;
  }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != text_.npos) ++at_;
  }

  bool take(char c) {
    const bool is_there = at_ < text_.size() && text_[at_] == c;
    if (is_there) ++at_;
    return is_there;
  }

  bool take(std::string_view word) {
    const bool is_there = text_.substr(at_).starts_with(word);
    if (is_there) at_ += word.size();
    return is_there;
  }

  json read_value(int level) {
    if (level > kMostLevels) refuse(fmt::format("at most {} levels", kMostLevels));
    if (take('{')) return read_object(level);
    if (take('[')) return read_array(level);
    if (take('"')) return read_string();
    if (take("null")) return nullptr;
    if (take("true")) return true;
    if (take("false")) return false;
    if (take("NaN")) return std::numeric_limits<double>::quiet_NaN();
    if (take("Infinity")) return std::numeric_limits<double>::infinity();
    if (take("-Infinity")) return -std::numeric_limits<double>::infinity();
    return read_number();
  }

  json read_object(int level) {
    auto object = json::object();
    skip_space();
    if (take('}')) return object;
    do {
      skip_space();
      if (!take('"')) refuse("a key in double quotes");
      const auto key = read_string();
      skip_space();
      if (!take(':')) refuse("\":\"");
      skip_space();
      object[key] = read_value(level + 1);
      skip_space();
    } while (take(','));
    if (!take('}')) refuse("\",\" or \"}\"");
    return object;
  }

  json read_array(int level) {
    auto array = json::array();
    skip_space();
    if (take(']')) return array;
    do {
      skip_space();
      array.push_back(read_value(level + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) refuse("\",\" or \"]\"");
    return array;
  }

  /// From behind the opening quote to behind the closing one.
  std::string read_string() {
    std::string value;
    while (true) {
      const size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
             static_cast<unsigned char>(text_[at_]) >= 0x20) {
        ++at_;
      }
      value += text_.substr(begin, at_ - begin);
      if (take('"')) return value;
      if (!take('\\')) refuse("the end of a string");
      read_escape(value);
    }
  }

  void read_escape(std::string& value) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    const auto letter = at_ < text_.size() ? kLetters.find(text_[at_]) : kLetters.npos;
    if (letter != kLetters.npos) {
      value += kMeanings[letter];
      ++at_;
      return;
    }
    if (!take('u')) refuse("an escape of JSON");
    const auto is_high = [](unsigned code) { return code >= 0xD800 && code < 0xDC00; };
    const auto is_low = [](unsigned code) { return code >= 0xDC00 && code < 0xE000; };
    unsigned code = read_hexadecimal();
    if (is_high(code) && text_.substr(at_).starts_with("\\u")) {
      const size_t begin = at_;
      at_ += 2;
      const unsigned low = read_hexadecimal();
      if (is_low(low)) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = begin;
      }
    }
    append_utf8(value, is_high(code) || is_low(code) ? 0xFFFD : code);
  }

  unsigned read_hexadecimal() {
    unsigned code = 0;
    const auto digits = text_.substr(at_, 4);
    const auto end = digits.data() + digits.size();
    if (digits.size() < 4 || std::from_chars(digits.data(), end, code, 16).ptr != end) {
      refuse("four hexadecimal digits");
    }
    at_ += 4;
    return code;
  }

  size_t take_digits() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return at_ - begin;
  }

  /// Goes over what `read` takes, or stays where that is not wanted.
  template <typename Read>
  bool try_take(const Read& read) {
    const size_t begin = at_;
    if (read()) return true;
    at_ = begin;
    return false;
  }

  json read_number() {
    const size_t begin = at_;
    const bool is_signed = take('-');
    if (!take('0') && take_digits() == 0) {
      at_ = begin;
      refuse("a value");
    }
    const size_t digits = at_ - begin - (is_signed ? 1 : 0);
    bool is_whole = !try_take([&] { return take('.') && take_digits() > 0; });
    is_whole &= !try_take([&] {
      if (!take('e') && !take('E')) return false;
      if (!take('+')) take('-');
      return take_digits() > 0;
    });
    const std::string number(text_.substr(begin, at_ - begin));
    if (!is_whole) return std::strtod(number.c_str(), nullptr);
    if (digits > kMostDigits) {
      at_ = begin;
      refuse(fmt::format("a number of at most {} digits", kMostDigits));
    }
    return whole_number(number);
  }

  static json whole_number(const std::string& number) {
    const char* end = number.data() + number.size();
    int64_t small = 0;
    if (std::from_chars(number.data(), end, small).ec == std::errc()) {
      return small < 0 ? json(small) : json(static_cast<uint64_t>(small));
    }
    uint64_t large = 0;
    if (std::from_chars(number.data(), end, large).ec == std::errc()) return large;
    return std::strtod(number.c_str(), nullptr);
  }

  std::string_view text_;
  const std::string& name_;
  ErrorKind kind_;
  size_t at_ = 0;
};

}  // namespace

json parse_json(std::string_view text, const std::string& name, ErrorKind kind) {
  return JsonText(text, name, kind).whole();
}

json read_json_file(const std::string& path, ErrorKind kind, const std::string& wanted) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  const auto what = wanted.empty() ? "" : "; " + wanted;
  require(std::filesystem::exists(status), kind, "{}: cannot be read: {}{}", path, error.message(),
          what);
  require(std::filesystem::is_regular_file(status), kind,
          "{}: expected a file, found something else{}", path, what);
  std::ifstream file(path, std::ios::binary);
  require(file.good(), kind, "{}: cannot be read: {}{}", path, std::strerror(errno), what);
  std::stringstream text;
  text << file.rdbuf();
  const auto content = text.view();
  require(!content.starts_with("version https://git-lfs"), kind,
          "{}: is a Git LFS pointer, not the file itself; expected JSON; `git lfs pull` fetches it",
          path);
  require(!content.empty(), kind, "{}: is empty; expected JSON", path);
  return parse_json(content, path, kind);
}

}  // namespace actsweep
