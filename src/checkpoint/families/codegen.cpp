// CodeGen: GPT-J with query, value and key in one tensor, in four parts as it was trained on four
// cores.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys codegen_keys() { return gptj_keys().but({{"n_ctx", "int", 2048}}, {"pad_token_id"}); }

Architecture read_codegen(const Config& config) {
  Architecture facts = read_gptj_facts(config);
  if (facts.heads % 4 != 0) config.refuse("n_head", "a multiple of 4");
  return facts;
}

std::vector<TensorRow> codegen_rows(const Architecture& a) {
  const std::string layer = "transformer.h.{}.";
  TensorRows rows(a);
  rows.embedding("transformer.wte")
      .norm(layer + "ln_1", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "attn.qkv_proj", FusedOrder::kQuarters)
      .attention_output(layer + "attn.out_proj");
  add_gptj_mlp(rows);
  return rows.list();
}

}  // namespace

Family codegen_family() {
  return {"codegen",      read_codegen,
          codegen_rows,   {},
          "transformer.", "GPT-J with query, value and key in one tensor, in four parts",
          codegen_keys()};
}

}  // namespace actsweep
