// "mxfp4": the experts of gpt-oss as published. Blocks of 32 numbers of 4 bits along the inputs,
// each with a power of two; matrices stacked by expert, [out, in], though the family asks for [in,
// out]. The format: OCP Microscaling Formats (MX) Specification, version 1.0.
#include "base/error.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

constexpr int64_t kInBlock = 32;

std::optional<PackedWeight> pack_mxfp4(ModuleTensors& module) {
  if (module.find("_blocks") == nullptr && module.find("_scales") == nullptr) return std::nullopt;
  static const auto numbers = std::make_shared<const std::vector<float>>(float4_e2m1_numbers());
  const auto [matrices, rows, columns] = module.wanted();
  const int64_t across = columns / kInBlock;
  require(columns % kInBlock == 0, ErrorKind::kModel,
          "module {}: mxfp4: expected inputs in blocks of {}, found {}", module.module(), kInBlock,
          columns);
  const auto& blocks = module.need("_blocks", {"U8"}, {{matrices, rows, across, kInBlock / 2}});
  const auto& scales = module.need("_scales", {"U8", "F8_E8M0"}, {{matrices, rows, across}});
  PackedWeight packed = {.rows = matrices * rows, .columns = columns};
  packed.codes = {.tensor = &blocks, .numbers = numbers, .bits = 4, .run_codes = columns};
  packed.groups.width = kInBlock;
  packed.scales = {.tensor = &scales, .row_stride = across, .group_stride = 1};
  return packed;
}

Packing read_mxfp4(const Config& section) {
  return {"blocks of 32", [](ModuleTensors& module) { return pack_mxfp4(module); },
          NamedModules(NamedModules::Kind::kBeginOrEnd, section, "modules_to_not_convert")};
}

}  // namespace

PackingMethod mxfp4_method() { return {"mxfp4", read_mxfp4}; }

}  // namespace actsweep
