// Models of several parts: a language model under "text_config", a tower for images under
// "vision_config", and what joins them. One of the two is read at a time.
//
// In: a config.json, and what for it is read. Out: the config of that part, and under which names
// its tensors are stored. Published files have them as transformers saved them at their time:
// "language_model.model.layers.0…", "model.language_model.layers.0…", "model.layers.0…";
// "vision_tower.vision_model.…", "model.vision_tower.…". Refuses (kModel) a wrapper without the
// section, and a part of a type that is not known, naming it.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/config.h"

namespace actsweep {

/// A class of transformers that holds a language model and, say, a vision tower.
struct Wrapper {
  const char* model_type;
  const char* text_type;                 // of the language model where "text_config" names none
  const char* vision_type;               // the same of the tower
  int64_t image_token;                   // which stands for an image, where the file says none
  std::vector<std::string> beside = {};  // modules that text does not pass
  const char* ties_type =
      "bool";                    // of the key that ties the head, which stands beside the sections
  bool ties_embeddings = false;  // where neither the file nor its text_config says so
  bool ties_as_text = false;     // a language model that ties its head does so here, too
  bool may_be_flat = false;      // without "text_config" its keys stand beside those of other parts
  bool has_own_text = false;     // the language model is of its type, whatever the section says
  bool has_own_tower = false;    // the same of the tower
  bool sees_prefix_whole = false;  // its prefix, which holds the image; text alone is none
  bool holds_head = false;         // the language model's module has the head, too
  const char* text_module = "language_model.";
  const char* tower_module = "vision_tower.";
  const char* projector_module = "multi_modal_projector.";
};

/// All of them.
const std::vector<Wrapper>& wrappers();

/// What for a model is read.
enum class Reading {
  kText,          // its language model, for text
  kImages,        // its tower, for images
  kImagesInText,  // its tower with what projects its rows, for images in the midst of text
};

/// What is read of a config.json.
struct ModelPart {
  Config config;
  const Wrapper* wrapper = nullptr;        // null where it stands alone
  bool is_vision = false;                  // images were asked for
  bool has_projector = false;              // and what projects their rows
  std::vector<int64_t> image_tokens = {};  // ids that stand for images, the one that text may have
                                           // with images first
};

/// Refuses a model that stands alone where images in text are asked for.
ModelPart part_of(const Config& config, Reading reading);

/// The name that transformers 5 gives a tensor of a part; `prefix` is what begins the names of its
/// family.
std::string name_of_part(const ModelPart& part, const std::string& prefix, const std::string& name);
/// The names under which a tensor of a part may be stored.
std::vector<std::string> stored_names(const ModelPart& part, const std::string& prefix,
                                      const std::string& name);
/// The part's own name of a stored tensor.
std::string own_name(const ModelPart& part, const std::string& stored);
/// True for a tensor of what projects rows of images, where the part has that.
bool is_of_projector(const ModelPart& part, const std::string& stored);
/// True for a tensor of another module than the part.
bool is_beside(const ModelPart& part, const std::string& stored);

}  // namespace actsweep
