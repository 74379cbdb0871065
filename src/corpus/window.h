// Windows: what a sequence of the sweep is made of, and the labels of the rows that a rank owns.
//
// A window is one sequence: at most T tokens that remember their place in the corpus. A micro-batch
// is a run of consecutive windows, padded to the longest; each rank of a model group owns the same
// number of its sequences.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "corpus/request.h"

namespace actsweep {

/// One sequence of the sweep.
struct Window {
  int64_t sequence = 0;       // number among the sweep's windows
  int64_t first_token = 0;    // number of its first token among the tokens measured
  int64_t corpus_begin = 0;   // its first corpus token
  int64_t corpus_length = 0;  // corpus tokens in it
  bool has_first = false;     // a BOS or a sink token stands before them, at position 0

  int64_t length() const { return corpus_length + (has_first ? 1 : 0); }
};

/// The labels of the rows of one micro-batch that one rank owns. Rows are sequence-major: window i
/// holds rows [i * padded_length, i * padded_length + windows[i].length()); the rows after them are
/// padding, and so are all rows of the padding sequences behind the last window. Padding reaches no
/// statistic.
struct OwnedRows {
  int64_t padded_length = 0;         // T, rows per sequence
  int64_t padded_sequences = 0;      // B / m, with padding sequences
  std::vector<Window> windows;       // the real ones, at most padded_sequences
  std::vector<uint32_t> token_id;    // [padded_sequences * T]; 0 in padding
  std::vector<uint8_t> token_class;  // [padded_sequences * T]
  std::vector<uint8_t> token_role;   // [padded_sequences * T]; none where it is not known
  std::vector<int64_t> document;     // [padded_sequences * T]
  std::vector<Request> requests;     // [windows] those of tasks

  int64_t row_count() const { return padded_sequences * padded_length; }
  int64_t real_tokens() const {
    int64_t total = 0;
    for (const auto& window : windows) total += window.length();
    return total;
  }
  /// [row_count()] of each row its number among the tokens measured; -1 in padding.
  std::vector<int64_t> token_numbers() const {
    std::vector<int64_t> numbers(static_cast<size_t>(row_count()), -1);
    for (size_t i = 0; i < windows.size(); ++i) {
      const auto first = numbers.begin() + static_cast<int64_t>(i) * padded_length;
      std::iota(first, first + windows[i].length(), windows[i].first_token);
    }
    return numbers;
  }
};

}  // namespace actsweep
