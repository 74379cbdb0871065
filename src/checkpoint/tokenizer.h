// The fingerprint of a checkpoint's tokenizer, by which a corpus tells whether it was tokenised
// with the same one.
//
// In: a checkpoint directory. Out: the SHA-256 that data/prepare_corpus.py stores (data/README.md),
// or nothing where the directory holds no tokenizer.json with a vocabulary of words. Refuses
// (kModel) a tokenizer.json, or a table of tokens beside it, that is not JSON, and an added token
// without id, text or flag.
#pragma once

#include <optional>
#include <string>

namespace actsweep {

std::optional<std::string> tokenizer_fingerprint(const std::string& directory);

}  // namespace actsweep
