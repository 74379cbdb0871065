// A model as its config.json alone describes it: what a forward pass needs to know of it, and the
// tensors that it asks for. No weights are read, and none need be there.
//
// In: a config.json, or a directory or a cached model with one; whether the tower of a model of
// several parts is meant. Out: facts and rows; the tensors by the names that transformers gives
// them. Refuses (kModel) what a checkpoint with this config.json is refused for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/family.h"
#include "checkpoint/linear_layers.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/wrapper.h"

namespace actsweep {

/// The facts of a model that stands alone, or of one of several parts.
Architecture read_part(const Family& family, const ModelPart& part);

/// The name that transformers gives a tensor of the part of a model that is read.
std::string saved_name(const ModelPart& part, const Family& family, const std::string& name);

struct DescribedModel {
  explicit DescribedModel(const Config& config, Reading reading = Reading::kText);

  ModelPart part;  // what is read of it: a part, or all
  const Family* family;
  Architecture architecture;
  std::vector<TensorRow> rows;
  Quantisation quantisation;

  std::vector<LinearLayer> linear_layers() const;
};

/// That of a config.json, of a directory with one, or of a model of the hub's cache ("hf:NAME").
DescribedModel describe_model(const std::string& path, Reading reading = Reading::kText);

/// A tensor that a config.json asks for.
struct NeededTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::string kind;              // kind_of
  double mean = 0;               // of its elements where nothing was learned
  std::optional<int64_t> layer;  // 0-based
  bool is_packed = false;        // the config's quantisation is of it
};

/// Each tensor once, a tied head not: embeddings, layer by layer, what stands behind the layers.
std::vector<NeededTensor> needed_tensors(const DescribedModel& model);

/// What a tensor is to those who make random ones. "norm" for all factors of channels behind the
/// layers' input, "product" and "vector" for the rest there; before it each kind has its name.
std::string kind_of(const TensorRow& row);

/// `actsweep tensors`: a line of JSON with the facts, and one for each tensor.
std::string describe_tensors(const std::string& path);

}  // namespace actsweep
