// What a finished sweep file knows of one token: its labels, and the text around it.
//
// In: the number of a token among those measured. Out: the file's columns of it, and its bytes with
// those of its neighbours in the window. Refuses (ErrorKind::kOutput) a number beyond the file's
// tokens, naming the file.
#pragma once

#include <cstdint>
#include <string>

#include "base/h5.h"
#include "output/findings.h"

namespace actsweep {

struct TokenText {
  int64_t document = 0;
  int64_t position = 0;  // in its window
  int64_t id = 0;
  // In quotes: a few tokens before it, ⟦the token⟧, a few behind it; of an image the place alone.
  std::string text;
};

TokenText read_token(const H5File& file, const Vocabulary& vocabulary, int64_t token);

}  // namespace actsweep
