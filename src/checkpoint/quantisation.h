// Quantised weights: what a checkpoint says of them, and which stored tensors make up one.
//
// In: the quantisation section of config.json, or of the files beside it where config.json is
// silent. Out: for each weight that a family asks for, its packed form, or that it is stored as
// numbers. A method is one file in packings/. Refuses (kModel) a method or a switch that is not
// known, a weight of which a tensor is missing or has another type or shape, and a packed weight in
// a module that the section leaves out.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/module_tensors.h"
#include "checkpoint/named_modules.h"
#include "checkpoint/packed_weight.h"

namespace actsweep {

/// What a method makes of its section.
struct Packing {
  std::string text;  // for people: "e4m3 in blocks of 128 x 128"
  /// The weight of a module; none where the module holds numbers.
  std::function<std::optional<PackedWeight>(ModuleTensors&)> pack;
  NamedModules left_out = {};
};

/// A method of quantisation, by its name in config.json.
struct PackingMethod {
  const char* name;
  Packing (*read)(const Config& section);
};

/// All methods, in the order of the documentation.
const std::vector<PackingMethod>& packing_methods();

class Quantisation {
 public:
  /// Of the checkpoint in `directory` whose config.json is `config`.
  Quantisation(const std::string& directory, const Config& config);

  /// For people: "fp8: e4m3 in blocks of 128 x 128"; empty where weights are numbers.
  const std::string& text() const { return text_; }
  /// The section where config.json is silent and a file beside it speaks; else empty.
  const nlohmann::json& beside_config() const { return beside_config_; }
  /// The weight of a row that would be stored under `name`, if it is packed.
  std::optional<PackedWeight> find(const StoredTensors& tensors, const std::string& name,
                                   const TensorRow& row) const;
  /// Whether quantised files hold the matrix of a row packed: a product of a layer that the section
  /// does not leave out, but no router.
  bool packs(const std::string& name, const TensorRow& row) const;
  /// The same behind a message: "; its weights are read as fp8: …".
  std::string said() const;
  /// True for tensors beside packed weights that change none: scales of activations, which are not
  /// rounded here, and biases of zeros, which AutoGPTQ adds.
  bool is_left_over(const std::string& name, const StoredTensor& tensor) const;

 private:
  std::string directory_;
  std::string method_;
  std::string text_;
  nlohmann::json beside_config_;
  Packing packing_;
};

PackingMethod awq_method();
PackingMethod bitsandbytes_method();
PackingMethod compressed_tensors_method();
PackingMethod fp8_method();
PackingMethod gptq_method();
PackingMethod modelopt_method();
PackingMethod mxfp4_method();

}  // namespace actsweep
