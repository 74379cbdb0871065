// "modelopt", NVIDIA's: FP8 with a scale for a matrix or a row, and NVFP4: numbers of 4 bits, a
// scale of 8 bits for each 16 of them, and one for the matrix.
#include "base/error.h"
#include "checkpoint/packings/block_grid.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

std::optional<PackedWeight> pack_modelopt_fp8(ModuleTensors& module) {
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  const auto& codes = module.need("weight", {"F8_E4M3"}, {{rows, columns}});
  PackedWeight packed = {.rows = rows, .columns = columns};
  packed.codes = {
      .tensor = &codes, .numbers = float8_numbers(codes.type_name), .run_codes = columns};
  const auto& scales = module.need("weight_scale", scale_types(), {{}, {1}, {rows}, {rows, 1}});
  const bool is_by_row = !scales.shape.empty() && scales.shape[0] == rows && rows > 1;
  BlockGrid{is_by_row ? 1 : 0, 0}.scale(packed, scales);
  return packed;
}

std::optional<PackedWeight> pack_nvfp4(ModuleTensors& module, int64_t group) {
  static const auto numbers = std::make_shared<const std::vector<float>>(float4_e2m1_numbers());
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  const BlockGrid grid = {1, group};
  const auto& codes = module.need("weight", {"U8"}, {{rows, columns / 2}});
  PackedWeight packed = {.rows = rows, .columns = columns};
  packed.codes = {.tensor = &codes, .numbers = numbers, .bits = 4, .run_words = columns / 2};
  grid.scale(packed, module.need("weight_scale", {"F8_E4M3"}, grid.shapes(module.wanted())));
  packed.scales.of_matrix = &module.need("weight_scale_2", {"F32"}, {{}, {1}});
  return packed;
}

std::optional<PackedWeight> pack_modelopt(ModuleTensors& module, int64_t group) {
  const auto* stored = module.find("weight");
  const bool is_packed =
      stored != nullptr && (stored->type_name == "U8" || stored->type_name == "F8_E4M3");
  if (!is_packed) return std::nullopt;
  module.require_out_in(*stored);
  return stored->type_name == "U8" ? pack_nvfp4(module, group) : pack_modelopt_fp8(module);
}

Packing read_modelopt(const Config& section) {
  const auto algorithm = section.one_of(
      "quant_algo", {"FP8", "FP8_PER_CHANNEL_PER_TOKEN", "NVFP4", "MIXED_PRECISION"});
  const int64_t group = section.positive_or("group_size", 16);
  const char* key = section.has("exclude_modules") ? "exclude_modules" : "ignore";
  return {algorithm, [group](ModuleTensors& module) { return pack_modelopt(module, group); },
          NamedModules(NamedModules::Kind::kWildcards, section, key)};
}

}  // namespace

PackingMethod modelopt_method() { return {"modelopt", read_modelopt}; }

}  // namespace actsweep
