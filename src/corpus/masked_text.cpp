#include "corpus/masked_text.h"

#include "base/error.h"
#include "base/splitmix.h"

namespace actsweep {

MaskedText::MaskedText(TokenFileList text, const Masking& masking)
    : TokenFileList(std::move(text)), masking_(masking) {
  require(masking.id < vocabulary_size(), ErrorKind::kCorpus,
          "{}: vocabulary: expected the id of the model's mask, {}, found {} ids", path(),
          masking.id, vocabulary_size());
}

bool MaskedText::is_masked(int64_t token) const {
  return splitmix_part(masking_.seed, static_cast<uint64_t>(token)) < masking_.ratio;
}

}  // namespace actsweep
