// OLMoE: norms of queries and keys over the channels of all heads, a clip after them, and routed
// experts in every layer.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

ConfigKeys olmoe_keys() {
  auto keys = llama_keys().but({{"vocab_size", "int", 50304},
                                {"hidden_size", "int", 2048},
                                {"intermediate_size", "int", 2048},
                                {"num_hidden_layers", "int", 16},
                                {"num_attention_heads", "int", 16},
                                {"max_position_embeddings", "int", 4096},
                                {"rms_norm_eps", "float", 1e-05},
                                {"pad_token_id", "int|None", 1},
                                {"bos_token_id", "int|None", nullptr},
                                {"eos_token_id", "int|list[int]|None", 50279},
                                {"attention_dropout", "float|int", 0.0},
                                {"clip_qkv", "float|None", nullptr},
                                {"num_experts_per_tok", "int", 8},
                                {"num_experts", "int", 64},
                                {"output_router_logits", "bool", false},
                                {"router_aux_loss_coef", "float", 0.01},
                                {"norm_topk_prob", "bool", false},
                                {"head_dim", "int"}},
                               {"pretraining_tp", "mlp_bias"});
  keys.aliases = {{"num_local_experts", "num_experts"}};
  return keys;
}

Architecture read_olmoe(const Config& config) {
  Architecture facts = read_llama_facts(config);
  check_head_width(config, facts);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kAllHeads;
  facts.qkv_clip = config.above_zero_or("clip_qkv", 0);
  read_experts_of_all_layers(config, facts, "num_experts");
  facts.experts.renormalises = config.flag("norm_topk_prob");
  return facts;
}

}  // namespace

Family olmoe_family() {
  return {"olmoe",
          read_olmoe,
          qwen_moe_rows,
          {},
          "model.",
          "RMSNorm before each branch; query/key norms over the channels of all heads, clipped "
          "after them by `clip_qkv`; routed experts in every layer",
          olmoe_keys()};
}

}  // namespace actsweep
