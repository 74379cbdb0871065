// "gptq": whole numbers of 2, 3, 4 or 8 bits in words of 32 along the inputs, a scale and a zero
// for each output and group of inputs. With `desc_act` the group of each input is stored. The
// method: Frantar et al., arXiv 2210.17323; the files: AutoGPTQ, which stores zeros less 1.
#include "base/error.h"
#include "checkpoint/packings/block_grid.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

struct Gptq {
  int bits = 4;
  int64_t group = 0;    // inputs; 0: all of them
  int zero_offset = 0;  // what is added to stored zeros
};

Numbers whole_table(int bits, int offset) {
  return std::make_shared<const std::vector<float>>(whole_numbers(bits, offset));
}

/// A whole number of words, or refused.
void check_words(const ModuleTensors& module, const StoredTensor& codes, int bits) {
  const auto [matrices, rows, columns] = module.wanted();
  if (rows * bits % 32 == 0 && columns * bits % 32 == 0) return;
  module.refuse(codes, "qweight", fmt::format("{} bits in whole words of 32", bits),
                fmt::format("{} x {}", rows, columns));
}

std::optional<PackedWeight> pack_gptq(ModuleTensors& module, const Gptq& gptq) {
  const auto* stored = module.find("qweight");
  if (stored == nullptr) return std::nullopt;
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  check_words(module, *stored, gptq.bits);
  const BlockGrid grid = {1, gptq.group};
  const int64_t groups = grid.groups(columns), in_column = rows * gptq.bits / 32;
  PackedWeight packed = {.rows = rows, .columns = columns};
  packed.codes = {.tensor = &module.need("qweight", {"I32"}, {{columns * gptq.bits / 32, rows}}),
                  .numbers = whole_table(gptq.bits, 0),
                  .bits = gptq.bits,
                  .word_bytes = 4,
                  .word_stride = rows,
                  .run_words = 1};
  packed.zeros = {.tensor = &module.need("qzeros", {"I32"}, {{groups, in_column}}),
                  .numbers = whole_table(gptq.bits, -gptq.zero_offset),
                  .bits = gptq.bits,
                  .word_bytes = 4,
                  .is_along_rows = true,
                  .run_words = in_column};
  packed.groups.width = gptq.group;
  packed.scales = {.tensor = &module.need("scales", scale_types(), {{groups, rows}}),
                   .row_stride = 1,
                   .group_stride = rows};
  if (module.find("g_idx") == nullptr) return packed;
  packed.groups.count = groups;
  packed.groups.of_column = &module.need("g_idx", {"I32"}, {{columns}});
  return packed;
}

Packing read_gptq(const Config& section) {
  Gptq gptq;
  gptq.bits = static_cast<int>(section.positive("bits", 8));
  if (gptq.bits != 2 && gptq.bits != 3 && gptq.bits != 4 && gptq.bits != 8) {
    section.refuse("bits", "2, 3, 4 or 8");
  }
  const bool is_whole = section.has("group_size") && section.values().at("group_size") == -1;
  gptq.group = is_whole ? 0 : section.positive("group_size");
  const auto format = section.has("checkpoint_format")
                          ? section.one_of("checkpoint_format", {"gptq", "gptq_v2"})
                          : "gptq";
  gptq.zero_offset = format == "gptq" ? 1 : 0;
  if (section.has("dynamic") && !section.values().at("dynamic").empty()) {
    section.refuse("dynamic", "one choice of bits for all modules");
  }
  const BlockGrid grid = {1, gptq.group};
  return {fmt::format("int{}, {}", gptq.bits, grid.text()),
          [gptq](ModuleTensors& module) { return pack_gptq(module, gptq); }};
}

}  // namespace

PackingMethod gptq_method() { return {"gptq", read_gptq}; }

}  // namespace actsweep
