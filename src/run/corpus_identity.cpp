#include "run/corpus_identity.h"

#include <fmt/format.h>

#include <span>

#include "base/sha256.h"

namespace actsweep {
namespace {

template <typename T>
std::string hash_of(const std::vector<T>& values) {
  Sha256 hash;
  hash.add(std::as_bytes(std::span(values)));
  return hash.hex();
}

std::string vocabulary_hash(const Corpus& corpus) {
  Sha256 hash;
  hash.add(std::as_bytes(std::span(corpus.vocabulary_offset())));
  hash.add(std::span(corpus.vocabulary_bytes()));
  return hash.hex();
}

}  // namespace

void add_corpus_identity(const Corpus& corpus, const std::map<std::string, Prompt>& prompts,
                         nlohmann::json& identity) {
  identity["corpus.fingerprint"] = corpus.fingerprint();
  identity["tokenizer.fingerprint"] = corpus.tokenizer_fingerprint();
  identity["corpus.vocabulary"] = vocabulary_hash(corpus);
  identity["corpus.token_classes"] = hash_of(corpus.token_classes());
  if (corpus.kind() == CorpusKind::kText) {
    identity["corpus.special_tokens"] = corpus.special_tokens();
    identity["corpus.bos_id"] = corpus.bos_id();
    identity["corpus.eos_id"] = corpus.eos_id();
    if (!corpus.tasks().empty()) identity["corpus.tasks"] = corpus.tasks();
  }
  for (const auto& [name, prompt] : prompts) {
    identity["capture.prompts." + name] = hash_of(prompt.ids);
  }
}

std::string doubled_bos_warning(const Corpus& corpus, const WindowPlan& windows, BosPolicy bos) {
  if (bos != BosPolicy::kEachWindow) return "";
  const auto is_bos = [&](int64_t token) {
    return static_cast<int64_t>(corpus.id(token)) == corpus.bos_id();
  };
  const auto& offset = corpus.document_offset();
  int64_t documents = 0, doubled = 0;
  for (int64_t i = 0; i < corpus.documents(); ++i) {
    if (offset[i] < offset[i + 1] && is_bos(offset[i])) ++documents;
  }
  if (documents == 0) return "";
  for (int64_t i = 0; i < windows.windows(); ++i) {
    if (is_bos(windows.window(i).corpus_begin)) ++doubled;
  }
  return fmt::format(
      "{}: {} of {} documents begin with the BOS (id {}) in their text: [corpus] bos = "
      "\"each_window\" has it twice at the start of {} of {} windows; bos = \"none\" takes the "
      "documents as they are",
      corpus.path(), documents, corpus.documents(), corpus.bos_id(), doubled, windows.windows());
}

}  // namespace actsweep
