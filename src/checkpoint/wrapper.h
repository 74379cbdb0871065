// Models of several parts: a language model under "text_config", and what stands beside it.
//
// In: a config.json. Out: the config of its language model, and under which names its tensors are
// stored. Published files have them as transformers saved them at their time:
// "language_model.model.layers.0…", "model.language_model.layers.0…" or "model.layers.0…".
// Refuses (kModel) a wrapper without the section, naming it.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/config.h"

namespace actsweep {

/// A class of transformers that holds a language model and, say, a vision tower.
struct Wrapper {
  const char* model_type;
  const char* text_type;  // of the language model where "text_config" names none
  bool ties_embeddings;   // where neither the file nor its text_config says so
  bool ties_as_text;      // a language model that ties its head does so here, too
  bool may_be_flat;       // without "text_config" its keys stand beside those of the other parts
  std::vector<std::string> beside;  // modules that text does not pass
};

/// All of them.
const std::vector<Wrapper>& wrappers();

/// The language model of a config.json.
struct LanguageModel {
  Config config;
  const Wrapper* wrapper = nullptr;  // null where it stands alone
};

LanguageModel language_model_of(const Config& config);

/// The name that transformers 5 gives a tensor of the language model.
std::string name_of_part(const std::string& name);
/// The names under which a tensor of the language model may be stored, its own last.
std::vector<std::string> stored_names(const std::string& name);
/// The language model's own name of a stored tensor.
std::string text_name(const std::string& stored);
/// True for a tensor of a module beside the language model.
bool is_beside(const Wrapper& wrapper, const std::string& stored);

}  // namespace actsweep
