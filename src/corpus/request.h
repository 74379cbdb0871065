// What a document of a task asks of the loss: which of its ids are scored, and what for.
#pragma once

#include <array>
#include <cstdint>

namespace actsweep {

/// A choice of a question, or a window of a text that is scored whole. The ids from `first_scored`
/// to the document's end are scored.
struct Request {
  uint32_t task = 0;  // number among the corpus' tasks
  uint32_t kind = 0;  // 0: a choice, 1: a window
  uint32_t part = 0;  // number of the choice in its question, of the window in its text
  uint32_t parts = 0;
  uint32_t first_scored = 0;
  uint32_t is_answer = 0;
  uint32_t bytes = 0;  // of a choice, or of the whole text
  uint32_t characters = 0;
  uint32_t words = 0;
};

/// A dataset of the group /requests, in token files along documents and in sweep files along
/// sequences.
struct RequestColumn {
  const char* name;
  uint32_t Request::*value;
  const char* meaning;
};

inline constexpr std::array<RequestColumn, 9> kRequestColumns = {{
    {"task", &Request::task, "task of the document; counts along the root attribute tasks"},
    {"kind", &Request::kind,
     "0: a choice of a question, 1: a window of a text that is scored whole"},
    {"part", &Request::part,
     "number of the choice in its question, or of the window in its text; 0 begins the next one"},
    {"parts", &Request::parts, "choices of the question, or windows of the text"},
    {"first_scored", &Request::first_scored,
     "place in the document of the first token that is scored"},
    {"is_answer", &Request::is_answer, "1: the choice is right"},
    {"bytes", &Request::bytes, "UTF-8 bytes of the choice, or of the text"},
    {"characters", &Request::characters, "characters of the choice, or of the text"},
    {"words", &Request::words, "words of the choice, or of the text, parted by white space"},
}};

}  // namespace actsweep
