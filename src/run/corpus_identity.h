// What a corpus file adds to the identity of a sweep, and what is said of it aloud.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "corpus/corpus.h"
#include "corpus/window_plan.h"

namespace actsweep {

/// Adds everything that is read from a corpus file and can change a number or a text in the sweep
/// file: tokens and documents, tokenizer, vocabulary and classes, BOS, EOS, special tokens, and
/// the ids of the captured prompts.
void add_corpus_identity(const Corpus& corpus, const std::map<std::string, Prompt>& prompts,
                         nlohmann::json& identity);

/// Says that documents begin with the BOS that the job puts before each window; empty where none
/// does, or the job puts none.
std::string doubled_bos_warning(const Corpus& corpus, const WindowPlan& windows, BosPolicy bos);

}  // namespace actsweep
