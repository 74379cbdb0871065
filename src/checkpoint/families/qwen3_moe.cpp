// Qwen3-MoE: Qwen3's attention; routed experts in some layers, a dense MLP in the others.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kQwen3MoeKeys = {{{"vocab_size", "int", 151936},
                                   {"hidden_size", "int", 2048},
                                   {"intermediate_size", "int", 6144},
                                   {"num_hidden_layers", "int", 24},
                                   {"num_attention_heads", "int", 32},
                                   {"num_key_value_heads", "int", 4},
                                   {"hidden_act", "str", "silu"},
                                   {"max_position_embeddings", "int", 32768},
                                   {"initializer_range", "float", 0.02},
                                   {"rms_norm_eps", "float", 1e-06},
                                   {"use_cache", "bool", true},
                                   {"tie_word_embeddings", "bool", false},
                                   {"rope_parameters", "dict|None", nullptr},
                                   {"attention_bias", "bool", false},
                                   {"use_sliding_window", "bool", false},
                                   {"sliding_window", "int|None", 4096},
                                   {"attention_dropout", "float|int", 0.0},
                                   {"decoder_sparse_step", "int", 1},
                                   {"moe_intermediate_size", "int", 768},
                                   {"num_experts_per_tok", "int", 8},
                                   {"num_experts", "int", 128},
                                   {"norm_topk_prob", "bool", false},
                                   {"output_router_logits", "bool", false},
                                   {"router_aux_loss_coef", "float", 0.001},
                                   {"mlp_only_layers", "list[int]|None", nullptr},
                                   {"pad_token_id", "int|None", nullptr},
                                   {"bos_token_id", "int|None", nullptr},
                                   {"eos_token_id", "int|list[int]|None", nullptr},
                                   {"head_dim", "int"}},
                                  {{"num_local_experts", "num_experts"}}};

Architecture read_qwen3_moe(const Config& config) {
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  if (config.flag("use_sliding_window")) read_window(config, facts);
  read_qwen_experts(config, facts);
  return facts;
}

}  // namespace

Family qwen3_moe_family() {
  return {"qwen3_moe",
          read_qwen3_moe,
          qwen_moe_rows,
          {},
          "model.",
          "Qwen3's attention; routed experts in some layers, a dense MLP in the others; "
          "sliding window where asked",
          kQwen3MoeKeys};
}

}  // namespace actsweep
