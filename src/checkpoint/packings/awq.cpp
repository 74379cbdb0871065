// "awq": whole numbers of 4 bits, eight outputs in a word of 32 in an order of their own, a scale
// and a zero for each output and group of inputs. The method: Lin et al., arXiv 2306.00978; the
// files: AutoAWQ's version "gemm".
#include "base/error.h"
#include "checkpoint/packings/block_grid.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

constexpr int64_t kInWord = 8;

CodeGrid grid_of(const StoredTensor& tensor, int64_t words) {
  static const auto numbers = std::make_shared<const std::vector<float>>(whole_numbers(4, 0));
  return {.tensor = &tensor,
          .numbers = numbers,
          .bits = 4,
          .word_bytes = 4,
          .is_along_rows = true,
          .run_words = words,
          .order = CodeGrid::Order::kAwq};
}

std::optional<PackedWeight> pack_awq(ModuleTensors& module, int64_t group) {
  const auto* stored = module.find("qweight");
  if (stored == nullptr) return std::nullopt;
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  if (rows % kInWord != 0) {
    module.refuse(*stored, "qweight", "outputs in words of eight", std::to_string(rows));
  }
  const BlockGrid grid = {1, group};
  const int64_t words = rows / kInWord, groups = grid.groups(columns);
  PackedWeight packed = {.rows = rows, .columns = columns};
  packed.codes = grid_of(module.need("qweight", {"I32"}, {{columns, words}}), words);
  packed.zeros = grid_of(module.need("qzeros", {"I32"}, {{groups, words}}), words);
  packed.groups.width = group;
  packed.scales = {.tensor = &module.need("scales", scale_types(), {{groups, rows}}),
                   .row_stride = 1,
                   .group_stride = rows};
  return packed;
}

Packing read_awq(const Config& section) {
  section.only("bits", 4);
  if (section.has("version")) section.one_of("version", {"gemm", "GEMM"});
  const bool is_whole = section.has("group_size") && section.values().at("group_size") == -1;
  const BlockGrid grid = {1, is_whole ? 0 : section.positive("group_size")};
  return {"int4, " + grid.text(),
          [group = grid.columns](ModuleTensors& module) { return pack_awq(module, group); },
          NamedModules(NamedModules::Kind::kBeginOrEnd, section, "modules_to_not_convert")};
}

}  // namespace

PackingMethod awq_method() { return {"awq", read_awq}; }

}  // namespace actsweep
