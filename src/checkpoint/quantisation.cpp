#include "checkpoint/quantisation.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/json_file.h"

namespace actsweep {

const std::vector<PackingMethod>& packing_methods() {
  static const std::vector<PackingMethod> list = {
      fp8_method(), mxfp4_method(),    compressed_tensors_method(), gptq_method(),
      awq_method(), modelopt_method(), bitsandbytes_method()};
  return list;
}

namespace {

namespace fs = std::filesystem;
const char* const kMethod = "quant_method";

/// What ModelOpt and AutoGPTQ wrote beside config.json before they wrote into it.
std::optional<Config> section_beside(const std::string& directory) {
  const auto read = [&](const char* name) -> std::optional<Config> {
    const auto path = (fs::path(directory) / name).string();
    if (!fs::exists(path)) return std::nullopt;
    return Config(read_json_file(path, ErrorKind::kModel), path);
  };
  if (const auto file = read("hf_quant_config.json")) {
    auto section = file->section("quantization");
    if (!section.has("quant_algo")) return std::nullopt;  // of keys and values alone
    section.set(kMethod, "modelopt", kMethod);
    return section;
  }
  if (auto file = read("quantize_config.json")) {
    file->set(kMethod, "gptq", kMethod);
    return file;
  }
  return std::nullopt;
}

std::optional<Config> section_of(const std::string& directory, const Config& config) {
  const auto text = config.has("text_config") && config.values().at("text_config").is_object()
                        ? config.section("text_config")
                        : config;
  for (const auto* file : {&config, &text}) {
    for (const char* key : {"quantization_config", "compression_config"}) {
      if (file->has(key)) return file->section(key);
    }
  }
  return section_beside(directory);
}

const PackingMethod& method_of(const Config& section) {
  std::string known;
  for (const auto& method : packing_methods()) {
    if (section.has(kMethod) && section.values().at(kMethod) == method.name) return method;
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", method.name);
  }
  section.refuse(kMethod,
                 fmt::format("one of {}, whose weights are widened as they are read", known));
}

}  // namespace

Quantisation::Quantisation(const std::string& directory, const Config& config)
    : directory_(directory) {
  const auto section = section_of(directory, config);
  if (!section) return;
  const auto& method = method_of(*section);
  method_ = method.name;
  if (section->path() != config.path()) beside_config_ = section->values();
  packing_ = method.read(*section);
  text_ = fmt::format("{}: {}", method_, packing_.text);
}

std::optional<PackedWeight> Quantisation::find(const StoredTensors& tensors,
                                               const std::string& name,
                                               const TensorRow& row) const {
  if (!packing_.pack || row.whole_shape().size() != 2) return std::nullopt;
  ModuleTensors module(tensors, name, row, {directory_, method_});
  auto packed = packing_.pack(module);
  if (!packed) return std::nullopt;
  require(!packing_.left_out.contains(module.module()), ErrorKind::kModel,
          "{}: module {}: left out of {} by its config, but stored as \"{}\" of type {}",
          directory_, module.module(), method_, module.parts().front().first,
          module.parts().front().second->type_name);
  packed->parts = module.parts();
  return packed;
}

bool Quantisation::packs(const std::string& name, const TensorRow& row) const {
  static const std::set<Weight> numbers = {Weight::kRouter, Weight::kSharedGate, Weight::kExtraKey,
                                           Weight::kExtraValue};
  const bool is_product = row.whole_shape().size() == 2 && !is_factor(row.weight);
  if (!packing_.pack || !is_product || numbers.contains(row.weight)) return false;
  const StoredTensors none;
  const ModuleTensors module(none, name, row, {directory_, method_});
  return !packing_.left_out.contains(module.module());
}

std::string Quantisation::said() const {
  return text_.empty() ? "" : fmt::format("; weights are read as \"{}\"", text_);
}

bool Quantisation::is_left_over(const std::string& name, const StoredTensor& tensor) const {
  if (text_.empty()) return false;
  static const std::vector<std::string> last_words = {
      ".input_scale", ".activation_scale", ".input_global_scale", ".input_zero_point", ".k_scale",
      ".v_scale",     ".q_scale",          ".output_scale"};
  const auto is_end = [&](const auto& word) { return name.ends_with(word); };
  if (std::ranges::any_of(last_words, is_end)) return true;
  return name.ends_with(".bias") &&
         std::all_of(tensor.data(), tensor.data() + tensor.bytes,
                     [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace actsweep
