#include "model/family.h"

#include "base/error.h"

namespace actsweep {

std::string tensor_name(const TensorRow& row, int64_t layer) {
  std::string name = row.name;
  const auto hole = name.find("{}");
  if (hole != std::string::npos) name.replace(hole, 2, std::to_string(layer));
  return name;
}

const std::vector<Family>& families() {
  static const std::vector<Family> list = {llama_family(), mistral_family(), qwen2_family()};
  return list;
}

const Family& family_of(const Config& config) {
  const auto type = config.text("model_type");
  std::string known;
  for (const auto& family : families()) {
    if (type == family.model_type) return family;
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", family.model_type);
  }
  fail(ErrorKind::kModel, "{}: \"model_type\": expected one of {}, found \"{}\"", config.path(),
       known, type);
}

}  // namespace actsweep
