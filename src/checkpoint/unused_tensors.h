// What becomes of the stored tensors that no row of a family names.
//
// transformers drops all of them, most with a warning. Here they are left out and said, but a
// weight of a layer, or of another module that the model has, is none to be left out: the model
// without it would be another one.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/family.h"

namespace actsweep {

enum class Unused {
  kBuffer,    // of rotary tables and masks, made anew by every forward pass
  kExpected,  // on the family's list, or of a layer that predicts tokens after the next, or that
              // only images pass; keys and values of one that takes another layer's
  kStranger,  // no part of the model: another head, say
  kWeight,    // of the model's own layers or modules
};

class UnusedTensors {
 public:
  UnusedTensors(const Family& family, const std::vector<TensorRow>& rows,
                const Architecture& architecture);

  Unused judge(const std::string& name) const;
  /// Names as messages list them: a number for a layer is "{}", and each kind is there once.
  static std::string list(const std::vector<std::string>& names);

 private:
  bool is_expected(const std::string& name) const;
  bool is_of_prediction(const std::string& name) const;
  bool is_of_images(const std::string& name) const;
  bool is_of_keys(const std::string& name) const;
  std::optional<int64_t> layer_of(const std::string& name) const;
  bool is_of_model(const std::string& name) const;
  std::string without_prefix(const std::string& name) const;

  const Family* family_;
  int64_t layers_;
  int64_t prediction_layers_;
  std::vector<int64_t> image_layers_;
  std::set<std::string> layer_words_;  // what stands before a layer's number: "layers", "h"
  std::set<std::string> modules_;      // outside layers: "model.norm"
  std::set<std::string> keys_;         // modules that layers with another's keys do not read
};

}  // namespace actsweep
