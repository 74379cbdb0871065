// GPT-BigCode (StarCoder): GPT-2's shape with products stored as they are used, and one key/value
// head for all queries where `multi_query` says so.
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_gpt_bigcode(const Config& config) {
  Architecture facts = read_gpt2_facts(config, "gelu_pytorch_tanh");
  if (config.flag_or("multi_query", true)) facts.kv_heads = 1;
  return facts;
}

std::vector<TensorRow> gpt_bigcode_rows(const Architecture& a) {
  TensorRows rows(a);
  rows.embedding("transformer.wte").positions("transformer.wpe");
  add_gpt2_layers(FusedOrder::kKeyHeads, rows);
  return rows.list();
}

}  // namespace

Family gpt_bigcode_family() {
  return {"gpt_bigcode",
          read_gpt_bigcode,
          gpt_bigcode_rows,
          {"transformer.h.{}.attn.bias", "transformer.bias"},
          "transformer.",
          "GPT-2 with products stored as they are used; one key/value head by "
          "`multi_query`"};
}

}  // namespace actsweep
