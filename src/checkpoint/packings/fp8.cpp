// "fp8": numbers of 8 bits, a scale for each block of rows and columns or for the whole matrix, as
// DeepSeek, Qwen, MiniMax and Mistral publish them.
#include "base/error.h"
#include "checkpoint/packings/block_grid.h"
#include "checkpoint/quantisation.h"

namespace actsweep {
namespace {

BlockGrid read_block(const Config& section) {
  const char* key = "weight_block_size";
  if (section.contains(key) && !section.has(key)) return {};
  if (!section.has(key)) return {128, 128};
  const auto sizes = section.numbers(key, 2);
  const BlockGrid block = {static_cast<int64_t>(sizes[0]), static_cast<int64_t>(sizes[1])};
  const bool is_whole =
      static_cast<double>(block.rows) == sizes[0] && static_cast<double>(block.columns) == sizes[1];
  if (!is_whole || block.rows < 1 || block.columns < 1) section.refuse(key, "two whole numbers");
  return block;
}

std::optional<PackedWeight> pack_float8(ModuleTensors& module, const BlockGrid& block) {
  const auto* stored = module.find("weight");
  if (stored == nullptr || !stored->type_name.starts_with("F8_")) return std::nullopt;
  module.require_out_in(*stored);
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  const auto& codes = module.need("weight", {"F8_E4M3", "F8_E5M2"}, {{rows, columns}});
  PackedWeight packed = {.rows = rows, .columns = columns};
  packed.codes = {
      .tensor = &codes, .numbers = float8_numbers(codes.type_name), .run_codes = columns};
  auto types = scale_types();
  types.insert(types.end(), {"F8_E8M0", "U8"});  // powers of two
  block.scale(packed, module.need("weight_scale_inv", types, block.shapes(module.wanted())));
  return packed;
}

Packing read_fp8(const Config& section) {
  const auto block = read_block(section);
  if (section.has("fmt")) section.one_of("fmt", {"e4m3", "float8_e4m3fn", "e5m2"});
  if (section.has("expert_dtype")) section.only("expert_dtype", "fp8");
  const char* key =
      section.has("modules_to_not_convert") ? "modules_to_not_convert" : "ignored_layers";
  return {block.text(), [block](ModuleTensors& module) { return pack_float8(module, block); },
          NamedModules(NamedModules::Kind::kBeginOrEnd, section, key)};
}

}  // namespace

PackingMethod fp8_method() { return {"fp8", read_fp8}; }

}  // namespace actsweep
