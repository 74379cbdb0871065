// A corpus of text in which some tokens are masked, at places that follow from a seed.
//
// In: token files, the id of the mask, the part of the tokens that is masked, a seed. Out: the
// same corpus with the mask's id at those places. Prompts stand as they are. Refuses (kCorpus) a
// mask that the corpus' tokenizer does not have.
#pragma once

#include "corpus/token_file_list.h"

namespace actsweep {

struct Masking {
  uint32_t id = 0;
  double ratio = 0;  // up to 1
  uint64_t seed = 0;
};

class MaskedText final : public TokenFileList {
 public:
  MaskedText(TokenFileList text, const Masking& masking);

  uint32_t id(int64_t token) const override {
    return is_masked(token) ? masking_.id : TokenFileList::id(token);
  }

 private:
  /// The token's number, made a number from 0 to 1 (SplitMix64), is below the ratio.
  bool is_masked(int64_t token) const;

  Masking masking_;
};

}  // namespace actsweep
