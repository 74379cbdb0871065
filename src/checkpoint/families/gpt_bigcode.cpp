// GPT-BigCode (StarCoder): GPT-2's shape with products stored as they are used, and one key/value
// head for all queries where `multi_query` says so.
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kGptBigcodeKeys = {{{"vocab_size", "int", 50257},
                                     {"n_positions", "int", 1024},
                                     {"n_embd", "int", 768},
                                     {"n_layer", "int", 12},
                                     {"n_head", "int", 12},
                                     {"n_inner", "int|None", nullptr},
                                     {"activation_function", "str", "gelu_pytorch_tanh"},
                                     {"resid_pdrop", "float|int", 0.1},
                                     {"embd_pdrop", "float|int", 0.1},
                                     {"attn_pdrop", "float|int", 0.1},
                                     {"layer_norm_epsilon", "float", 1e-05},
                                     {"initializer_range", "float", 0.02},
                                     {"scale_attn_weights", "bool", true},
                                     {"use_cache", "bool", true},
                                     {"bos_token_id", "int|None", 50256},
                                     {"eos_token_id", "int|list[int]|None", 50256},
                                     {"pad_token_id", "int|None", nullptr},
                                     {"attention_softmax_in_fp32", "bool", true},
                                     {"scale_attention_softmax_in_fp32", "bool", true},
                                     {"multi_query", "bool", true},
                                     {"add_cross_attention", "bool", false},
                                     {"tie_word_embeddings", "bool", true}},
                                    {{"hidden_size", "n_embd"},
                                     {"max_position_embeddings", "n_positions"},
                                     {"num_attention_heads", "n_head"},
                                     {"num_hidden_layers", "n_layer"}}};

Architecture read_gpt_bigcode(const Config& config) {
  Architecture facts = read_gpt2_facts(config);
  if (config.flag("multi_query")) facts.kv_heads = 1;
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
          {"transformer.bias"},
          "transformer.",
          "GPT-2 with products stored as they are used; one key/value head by "
          "`multi_query`",
          kGptBigcodeKeys};
}

}  // namespace actsweep
