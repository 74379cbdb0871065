// "compressed-tensors", as llm-compressor writes it: schemes for groups of modules, each FP8, INT8,
// whole numbers of 2 to 8 bits packed in words of 32, NVFP4 or MXFP4; a scale for a matrix, a row,
// a block or a group of columns.
#include <memory>

#include "base/error.h"
#include "checkpoint/packings/block_grid.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

/// What one of `config_groups` says of weights.
struct Scheme {
  NamedModules targets;
  bool is_for_all = false;  // linear modules
  bool is_float = false;
  bool is_symmetric = true;
  int bits = 8;
  BlockGrid grid;
  bool has_matrix_scale = false;  // NVFP4

  std::string text() const {
    return fmt::format("{}{}, {}", is_float ? "float" : "int", bits, grid.text());
  }
};

BlockGrid read_grid(const Config& weights) {
  const auto strategy =
      weights.one_of("strategy", {"tensor", "channel", "group", "tensor_group", "block"});
  if (strategy == "tensor") return {};
  if (strategy == "channel") return {1, 0};
  if (strategy != "block") return {1, weights.positive("group_size")};
  const auto sizes = weights.numbers("block_structure", 2);
  const BlockGrid block = {static_cast<int64_t>(sizes[0]), static_cast<int64_t>(sizes[1])};
  if (block.rows < 1 || block.columns < 1) weights.refuse("block_structure", "two whole numbers");
  return block;
}

Scheme read_scheme(const Config& group) {
  const auto weights = group.section("weights");
  Scheme scheme;
  scheme.targets = NamedModules(NamedModules::Kind::kPrefixed, group, "targets");
  scheme.is_for_all = scheme.targets.contains("Linear");
  scheme.is_float = weights.one_of("type", {"float", "int"}) == "float";
  scheme.bits = static_cast<int>(weights.positive("num_bits", 8));
  if (scheme.is_float && scheme.bits != 4 && scheme.bits != 8) weights.refuse("num_bits", "4 or 8");
  scheme.is_symmetric = weights.flag_or("symmetric", true);
  scheme.grid = read_grid(weights);
  scheme.has_matrix_scale = weights.text("strategy") == "tensor_group";
  return scheme;
}

const Scheme* scheme_of(const std::vector<Scheme>& schemes, const std::string& module) {
  for (const auto& scheme : schemes) {
    if (scheme.targets.contains(module)) return &scheme;
  }
  for (const auto& scheme : schemes) {
    if (scheme.is_for_all) return &scheme;
  }
  return nullptr;
}

/// Words of 32 bits that codes of `bits` bits fill without gaps.
int64_t words_of(int64_t codes, int bits) { return (codes * bits + 31) / 32; }

Numbers numbers_of(const Scheme& scheme) {
  if (scheme.is_float) return std::make_shared<const std::vector<float>>(float4_e2m1_numbers());
  return std::make_shared<const std::vector<float>>(
      whole_numbers(scheme.bits, 1 << (scheme.bits - 1)));
}

Numbers int8_table() {
  static const auto table = std::make_shared<const std::vector<float>>(int8_numbers());
  return table;
}

/// One code a byte.
CodeGrid bytes(ModuleTensors& module, const Scheme& scheme) {
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  const std::vector<std::string> types = {scheme.is_float ? "F8_E4M3" : "I8"};
  const auto& codes = module.need("weight", types, {{rows, columns}});
  return {.tensor = &codes,
          .numbers = scheme.is_float ? float8_numbers("F8_E4M3") : int8_table(),
          .run_codes = columns};
}

CodeGrid words(ModuleTensors& module, const Scheme& scheme) {
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  const int64_t in_row = words_of(columns, scheme.bits);
  const auto& codes = module.need("weight_packed", {"I32"}, {{rows, in_row}});
  module.need_whole_numbers("weight_shape", {rows, columns});
  return {.tensor = &codes,
          .numbers = numbers_of(scheme),
          .bits = scheme.bits,
          .run_words = 4 * in_row};
}

CodeGrid halves(ModuleTensors& module, const Scheme& scheme) {
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  const auto& codes = module.need("weight_packed", {"U8"}, {{rows, (columns + 1) / 2}});
  return {
      .tensor = &codes, .numbers = numbers_of(scheme), .bits = 4, .run_words = (columns + 1) / 2};
}

void add_scales(ModuleTensors& module, const Scheme& scheme, PackedWeight& packed) {
  const auto shapes = scheme.grid.shapes(module.wanted());
  const bool is_small = scheme.is_float && scheme.bits == 4;
  const std::vector<std::string> small = scheme.has_matrix_scale
                                             ? std::vector<std::string>{"F8_E4M3"}
                                             : std::vector<std::string>{"U8", "F8_E8M0"};
  scheme.grid.scale(packed, module.need("weight_scale", is_small ? small : scale_types(), shapes));
  if (!scheme.has_matrix_scale) return;
  packed.scales.of_matrix = &module.need("weight_global_scale", {"F32"}, {{1}, {}});
  packed.scales.is_divisor = true;
}

/// Those of packed weights are packed themselves, along rows.
void add_zeros(ModuleTensors& module, const Scheme& scheme, PackedWeight& packed) {
  if (scheme.is_symmetric && module.find("weight_zero_point") == nullptr) return;
  const int64_t across = scheme.grid.groups(packed.columns);
  const bool is_packed = packed.codes.tensor->type_name == "I32" && scheme.grid.rows == 1;
  if (is_packed) {
    const auto& zeros =
        module.need("weight_zero_point", {"I32"}, {{words_of(packed.rows, scheme.bits), across}});
    packed.zeros = {.tensor = &zeros,
                    .numbers = numbers_of(scheme),
                    .bits = scheme.bits,
                    .word_bytes = 4,
                    .is_along_rows = true,
                    .word_stride = across,
                    .run_words = 1};
    return;
  }
  const auto& zeros = module.need("weight_zero_point", {"I8"}, scheme.grid.shapes(module.wanted()));
  packed.zeros = {
      .tensor = &zeros, .numbers = int8_table(), .run_codes = scheme.grid.rows == 0 ? 0 : across};
}

/// Older files keep the group of each column, where columns were put in order before.
void add_order(ModuleTensors& module, PackedWeight& packed) {
  if (module.find("weight_g_idx") == nullptr) return;
  packed.groups.count = packed.scales.row_stride;
  packed.groups.of_column = &module.need("weight_g_idx", {"I32"}, {{packed.columns}});
}

bool holds_codes(const ModuleTensors& module) {
  const auto* weight = module.find("weight");
  return module.find("weight_packed") != nullptr ||
         (weight != nullptr && (weight->type_name == "I8" || weight->type_name == "F8_E4M3"));
}

std::optional<PackedWeight> pack_compressed(ModuleTensors& module,
                                            const std::vector<Scheme>& schemes) {
  if (!holds_codes(module)) return std::nullopt;
  const auto* scheme = scheme_of(schemes, module.module());
  const auto* packed_codes = module.find("weight_packed");
  const auto& stored = packed_codes != nullptr ? *packed_codes : *module.find("weight");
  module.require_out_in(stored);
  if (scheme == nullptr) module.refuse(stored, "weight", "a module of a config group", "none");
  PackedWeight packed = {.rows = module.wanted().rows, .columns = module.wanted().columns};
  packed.codes = packed_codes == nullptr ? bytes(module, *scheme)
                 : scheme->is_float      ? halves(module, *scheme)
                                         : words(module, *scheme);
  add_scales(module, *scheme, packed);
  add_zeros(module, *scheme, packed);
  add_order(module, packed);
  return packed;
}

Packing read_compressed(const Config& section) {
  section.one_of("format", {"pack-quantized", "naive-quantized", "int-quantized", "float-quantized",
                            "nvfp4-pack-quantized", "mxfp4-pack-quantized", "mixed-precision"});
  const auto groups = section.section("config_groups");
  auto schemes = std::make_shared<std::vector<Scheme>>();
  std::string text;
  for (const auto& [name, group] : groups.values().items()) {
    if (group.is_object() && group.value("weights", nlohmann::json()).is_null()) continue;
    schemes->push_back(read_scheme(groups.section(name)));
    text += (text.empty() ? "" : "; ") + schemes->back().text();
  }
  const auto sparsity = section.section("sparsity_config");
  if (sparsity.has("format")) sparsity.only("format", "dense");
  return {text, [schemes](ModuleTensors& module) { return pack_compressed(module, *schemes); },
          NamedModules(NamedModules::Kind::kPrefixed, section, "ignore")};
}

}  // namespace

PackingMethod compressed_tensors_method() { return {"compressed-tensors", read_compressed}; }

}  // namespace actsweep
