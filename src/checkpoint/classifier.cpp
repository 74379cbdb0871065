#include "checkpoint/classifier.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr const char* kClassifierName = "classifier";
constexpr const char* kProjection = "visual_projection.weight";

using StoredTensors = std::map<std::string, StoredTensor>;

/// What transformers' class for image classification of a family reads.
struct ClassifierKind {
  std::string_view family;
  ImageFeatures features;
  bool takes_final_norm = true;
};

const ClassifierKind kClassifierKinds[] = {
    {"vit", ImageFeatures::kClassToken},
    {"vit_msn", ImageFeatures::kClassToken},
    {"deit", ImageFeatures::kClassToken},
    {"dinov2", ImageFeatures::kClassAndPatches},
    {"dinov2_with_registers", ImageFeatures::kClassAndPatches},
    {"ijepa", ImageFeatures::kPatches},
    {"siglip", ImageFeatures::kPatches},
    {"clip", ImageFeatures::kPatches, false}};

const StoredTensor* find_tensor(const StoredTensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

/// Reads one model's classifier.
class ClassifierReader {
 public:
  ClassifierReader(const std::string& path, const Architecture& a, StoredTensors& tensors)
      : path_(path), a_(a), tensors_(tensors) {}

  ClassifierFacts own() {
    const auto kind = std::ranges::find(kClassifierKinds, a_.family, &ClassifierKind::family);
    require(kind != std::end(kClassifierKinds), ErrorKind::kModel,
            "{}: [statistics] classifier = \"checkpoint\": no classifier is known of type \"{}\"; "
            "expected a safetensors file of a head",
            path_, a_.family);
    facts_.features = kind->features;
    facts_.takes_final_norm = kind->takes_final_norm;
    if (a_.image.class_tokens == 2 && find_tensor(tensors_, "cls_classifier.weight") != nullptr) {
      facts_.features = ImageFeatures::kClassTokens;
      add_head("cls_classifier", path_, 0);
      add_head("distillation_classifier", path_, 1);
    } else {
      add_head(kClassifierName, path_, 0);
    }
    return facts_;
  }

  /// Of a head beside the checkpoint: CLIP's reads the direction of an image, as it compares it
  /// with those of texts; of others the width tells.
  ClassifierFacts of_file(const std::string& source) {
    take_file(source);
    const auto* projection = find_tensor(tensors_, kProjection);
    const bool is_clip = a_.family == "clip" || a_.family == "clip_vision_model";
    if (is_clip) {
      require(projection != nullptr && projection->shape.size() == 2, ErrorKind::kModel,
              "{}: tensor {}: missing; [statistics] classifier needs it for the features of images",
              path_, kProjection);
      facts_.has_direction = true;
      facts_.rows.push_back({.name = kProjection,
                             .weight = Weight::kHeadProjection,
                             .shape = {projection->shape[0], a_.channels}});
    } else {
      facts_.features = features_of_width(source);
    }
    add_head(kClassifierName, source, 0);
    return facts_;
  }

 private:
  int64_t width() const {
    if (facts_.has_direction) return facts_.rows.front().shape[0];
    return facts_.features == ImageFeatures::kClassAndPatches ? 2 * a_.channels : a_.channels;
  }

  ImageFeatures features_of_width(const std::string& source) const {
    const auto& shape = tensors_.at(fmt::format("{}.weight", kClassifierName)).shape;
    const bool has_class_token = a_.image.class_tokens > 0;
    if (has_class_token && shape.size() == 2 && shape[1] == 2 * a_.channels) {
      return ImageFeatures::kClassAndPatches;
    }
    require(shape.size() == 2 && shape[1] == a_.channels, ErrorKind::kModel,
            "{}: tensor weight: expected [classes, {}]{}, found {}", source, a_.channels,
            has_class_token
                ? fmt::format(", or [classes, {}] for the class token and the mean of the patches",
                              2 * a_.channels)
                : "",
            shape_text(shape));
    return has_class_token ? ImageFeatures::kClassToken : ImageFeatures::kPatches;
  }

  /// Puts the tensors of a file in the place of the checkpoint's.
  void take_file(const std::string& source) {
    const auto file = open_safetensors(source);
    for (const char* last : {"weight", "bias"}) {
      const auto name = fmt::format("{}.{}", kClassifierName, last);
      const auto* tensor = find_tensor(file.tensors, last);
      if (tensor == nullptr) tensor = find_tensor(file.tensors, name);
      tensors_.erase(name);
      if (tensor != nullptr) tensors_.emplace(name, *tensor);
    }
    require(find_tensor(tensors_, fmt::format("{}.weight", kClassifierName)) != nullptr,
            ErrorKind::kModel,
            "{}: tensor weight: missing; expected a head of \"weight\" [classes, width], with "
            "\"bias\" [classes] or without",
            source);
  }

  /// The rows of one head; of several the heads have the same classes.
  void add_head(const std::string& name, const std::string& source, int part) {
    const auto* weight = find_tensor(tensors_, name + ".weight");
    require(weight != nullptr, ErrorKind::kModel,
            "{}: tensor {}.weight: missing; [statistics] classifier = \"checkpoint\" needs it",
            path_, name);
    const auto& shape = weight->shape;
    if (part == 0 && !shape.empty()) facts_.classes = shape[0];
    const std::vector<int64_t> expected = {facts_.classes, width()};
    require(shape == expected && facts_.classes > 0, ErrorKind::kModel,
            "{}: tensor {}.weight: expected [classes, {}], found {}", source, name, width(),
            shape_text(shape));
    facts_.rows.push_back(
        {.name = name + ".weight", .weight = Weight::kHead, .part = part, .shape = expected});
    if (find_tensor(tensors_, name + ".bias") == nullptr) return;
    facts_.rows.push_back({.name = name + ".bias",
                           .weight = Weight::kHeadBias,
                           .part = part,
                           .shape = {facts_.classes}});
  }

  const std::string& path_;
  const Architecture& a_;
  StoredTensors& tensors_;
  ClassifierFacts facts_;
};

}  // namespace

ClassifierFacts read_classifier(const std::string& source, const std::string& path,
                                const Architecture& architecture, StoredTensors& tensors) {
  require(architecture.reads_images(), ErrorKind::kModel,
          "{}: [statistics] classifier: {} reads text; expected a model of images", path,
          architecture.family);
  ClassifierReader reader(path, architecture, tensors);
  return source == kOwnClassifier ? reader.own() : reader.of_file(source);
}

}  // namespace actsweep
