// "bitsandbytes": numbers of 4 bits (nf4, fp4) in blocks of the flattened matrix, whose scales may
// be codes of 8 bits themselves, or of 8 bits with a scale for each row. The methods: Dettmers et
// al., arXiv 2305.14314 and 2208.07339. A table of the numbers, and the sizes of blocks, are stored
// beside each matrix; these few bytes are read when it is found.
#include "base/error.h"
#include "base/json_file.h"
#include "checkpoint/packings/block_grid.h"
#include "checkpoint/quantisation.h"
#include "checkpoint/small_floats.h"

namespace actsweep {
namespace {

using nlohmann::json;
const std::string kState = "weight.quant_state.bitsandbytes__";

/// What is stored of a matrix as JSON.
struct State {
  int64_t block = 0;
  int64_t nested_block = 0;  // 0: scales are numbers
  float nested_offset = 0;
};

std::string state_name(const ModuleTensors& module) {
  for (const char* type : {"nf4", "fp4"}) {
    if (module.find(kState + type) != nullptr) return kState + type;
  }
  return kState + "nf4";
}

State read_state(ModuleTensors& module) {
  const auto name = state_name(module);
  const auto* found = module.find(name);
  const auto& stored = module.need(name, {"U8"}, {{found == nullptr ? 1 : found->bytes}});
  const std::string text(reinterpret_cast<const char*>(stored.data()),
                         static_cast<size_t>(stored.bytes));
  const Config state(
      parse_json(text, stored.file->path() + ": tensor " + module.module() + "." + name,
                 ErrorKind::kModel),
      stored.file->path(), module.module() + "." + name + ": ");
  const json shape = {module.wanted().rows, module.wanted().columns};
  state.only("shape", shape);
  State read = {state.positive("blocksize"), 0, 0};
  if (!state.has("nested_blocksize")) return read;
  read.nested_block = state.positive("nested_blocksize");
  read.nested_offset = static_cast<float>(state.number("nested_offset"));
  return read;
}

Numbers read_numbers(const StoredTensor& tensor) {
  std::vector<float> numbers;
  for (int64_t code = 0; code < tensor.shape[0]; ++code) {
    numbers.push_back(stored_number(tensor, code));
  }
  return std::make_shared<const std::vector<float>>(std::move(numbers));
}

int64_t in_blocks(int64_t length, int64_t size) { return (length + size - 1) / size; }

void add_scales(ModuleTensors& module, const State& state, PackedWeight& packed) {
  const int64_t blocks = in_blocks(packed.rows * packed.columns, state.block);
  const std::vector<std::string> types = {state.nested_block == 0 ? "F32" : "U8"};
  packed.groups = {.width = state.block, .is_flat = true};
  packed.scales = {.tensor = &module.need("weight.absmax", types, {{blocks}}), .group_stride = 1};
  if (state.nested_block == 0) return;
  packed.scales.nested = {.numbers = &module.need("weight.nested_quant_map", {"F32"}, {{256}}),
                          .scales = &module.need("weight.nested_absmax", {"F32"},
                                                 {{in_blocks(blocks, state.nested_block)}}),
                          .block = state.nested_block,
                          .offset = state.nested_offset};
}

std::optional<PackedWeight> pack_halves(ModuleTensors& module) {
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  const int64_t count = in_blocks(rows * columns, 2);
  const auto& codes = module.need("weight", {"U8"}, {{count, 1}, {1, count}});
  const auto state = read_state(module);
  PackedWeight packed = {.rows = rows, .columns = columns};
  packed.codes = {.tensor = &codes,
                  .numbers = read_numbers(module.need("weight.quant_map", {"F32"}, {{16}})),
                  .bits = 4,
                  .run_codes = columns,
                  .order = CodeGrid::Order::kHighFirst};
  add_scales(module, state, packed);
  return packed;
}

std::optional<PackedWeight> pack_bytes(ModuleTensors& module) {
  static const auto numbers = std::make_shared<const std::vector<float>>(int8_numbers());
  const int64_t rows = module.wanted().rows, columns = module.wanted().columns;
  PackedWeight packed = {.rows = rows, .columns = columns};
  packed.codes = {.tensor = &module.need("weight", {"I8"}, {{rows, columns}}),
                  .numbers = numbers,
                  .run_codes = columns};
  BlockGrid{1, 0}.scale(packed, module.need("SCB", {"F32"}, {{rows}, {rows, 1}}));
  packed.scales.factor = 1.0 / 127;
  if (module.find("weight_format") != nullptr) module.need("weight_format", {"U8"}, {{}, {1}});
  return packed;
}

std::optional<PackedWeight> pack_bitsandbytes(ModuleTensors& module) {
  const auto* stored = module.find("weight");
  if (stored == nullptr || (stored->type_name != "U8" && stored->type_name != "I8")) {
    return std::nullopt;
  }
  module.require_out_in(*stored);
  return stored->type_name == "U8" ? pack_halves(module) : pack_bytes(module);
}

Packing read_bitsandbytes(const Config& section) {
  const bool is_4bit = section.flag_or("load_in_4bit", false);
  if (!is_4bit && !section.flag_or("load_in_8bit", false)) {
    section.refuse("load_in_8bit", "true, or load_in_4bit");
  }
  const auto type =
      is_4bit ? section.one_of("bnb_4bit_quant_type", {"nf4", "fp4"}) : std::string("int8");
  if (section.has("bnb_4bit_quant_storage")) section.only("bnb_4bit_quant_storage", "uint8");
  return {type + (section.flag_or("bnb_4bit_use_double_quant", false) ? ", scales quantised" : ""),
          pack_bitsandbytes,
          NamedModules(NamedModules::Kind::kBeginOrEnd, section, "llm_int8_skip_modules")};
}

}  // namespace

PackingMethod bitsandbytes_method() { return {"bitsandbytes", read_bitsandbytes}; }

}  // namespace actsweep
