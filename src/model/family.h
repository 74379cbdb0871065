// The list of model families. A family is one file of data in families/: how it reads its config,
// and its tensor rows.
#pragma once

#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/config.h"
#include "model/tensor_rows.h"

namespace actsweep {

struct Family {
  const char* model_type;  // as config.json has it
  Architecture (*read)(const Config& config);
  std::vector<TensorRow> (*rows)(const Architecture& architecture);
  std::vector<std::string> ignored;  // tensors that a checkpoint may hold and no forward pass needs
};

/// All families, in the order of the documentation.
const std::vector<Family>& families();

/// The family of a config; refuses (kModel) an unknown `model_type` and lists the known ones.
const Family& family_of(const Config& config);

/// The rows that Llama and the families shaped like it share.
std::vector<TensorRow> llama_rows(const Architecture& architecture);

Family llama_family();
Family mistral_family();
Family qwen2_family();

}  // namespace actsweep
