#include "output/token_text.h"

#include <algorithm>
#include <vector>

#include "output/table.h"

namespace actsweep {
namespace {

constexpr int64_t kBefore = 6, kBehind = 4;  // tokens of text

std::vector<int64_t> read_numbers(const H5File& file, const std::string& name, int64_t begin,
                                  int64_t end) {
  std::vector<int64_t> values(static_cast<size_t>(end - begin));
  file.dataset("tokens/" + name)
      .read(H5T_NATIVE_INT64, {{static_cast<hsize_t>(begin)}, {values.size()}}, values.data());
  return values;
}

int64_t read_label(const H5File& file, const std::string& name, int64_t token) {
  return read_numbers(file, name, token, token + 1).front();
}

bool is_text(const H5File& file) {
  return !file.has_attribute("corpus_kind") || file.read_text("corpus_kind") == "text";
}

/// The bytes of a few tokens before it in its window, ⟦of the token⟧, and of a few behind it.
std::string bytes_around(const H5File& file, const Vocabulary& vocabulary, int64_t token,
                         int64_t position) {
  const int64_t begin = token - std::min(kBefore, position);
  const auto tokens = static_cast<int64_t>(file.dataset("tokens/id").shape().at(0));
  const int64_t end = std::min(token + kBehind + 1, tokens);
  const auto ids = read_numbers(file, "id", begin, end);
  const auto sequences = read_numbers(file, "sequence", begin, end);
  const auto own = static_cast<size_t>(token - begin);
  std::string text;
  for (size_t i = 0; i < ids.size() && sequences[i] == sequences[own]; ++i) {
    const auto bytes = vocabulary.bytes_of(ids[i]);
    text += i == own ? "⟦" + bytes + "⟧" : bytes;
  }
  return text;
}

}  // namespace

TokenText read_token(const H5File& file, const Vocabulary& vocabulary, int64_t token) {
  const auto tokens = static_cast<int64_t>(file.dataset("tokens/id").shape().at(0));
  require(token >= 0 && token < tokens, ErrorKind::kOutput,
          "{}: names the token {}, expected one of its {}", file.file(), token, tokens);
  TokenText found;
  found.document = read_label(file, "document", token);
  found.position = read_label(file, "position", token);
  found.id = read_label(file, "id", token);
  found.text = quoted(is_text(file) ? bytes_around(file, vocabulary, token, found.position)
                                    : vocabulary.bytes_of(found.id));
  return found;
}

}  // namespace actsweep
