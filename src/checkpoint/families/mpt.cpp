// MPT: ALiBi, LayerNorm without biases, no biases at all, GELU without a gate, query, key and value
// fused and clipped where config.json says so.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kMptKeys = {{{"d_model", "int", 2048},
                              {"n_heads", "int", 16},
                              {"n_layers", "int", 24},
                              {"expansion_ratio", "int", 4},
                              {"max_seq_len", "int", 2048},
                              {"vocab_size", "int", 50368},
                              {"resid_pdrop", "float|int", 0.0},
                              {"layer_norm_epsilon", "float", 1e-05},
                              {"emb_pdrop", "float|int", 0.0},
                              {"learned_pos_emb", "bool", true},
                              {"attn_config", "dict|None", nullptr},
                              {"init_device", "str", "cpu"},
                              {"logit_scale", "float|str|None", nullptr},
                              {"no_bias", "bool", true},
                              {"embedding_fraction", "float", 1.0},
                              {"norm_type", "str", "low_precision_layernorm"},
                              {"use_cache", "bool", false},
                              {"initializer_range", "float", 0.02},
                              {"tie_word_embeddings", "bool", true},
                              {"pad_token_id", "int|None", nullptr},
                              {"bos_token_id", "int|None", nullptr},
                              {"eos_token_id", "int|list[int]|None", nullptr}},
                             {{"num_attention_heads", "n_heads"},
                              {"hidden_size", "d_model"},
                              {"num_hidden_layers", "n_layers"}}};

/// Of the object "attn_config".
const ConfigKeys kMptAttentionKeys = {{{"attn_type", "str", "multihead_attention"},
                                       {"attn_pdrop", "int", 0},
                                       {"attn_impl", "str", "torch"},
                                       {"clip_qkv", "float|None", nullptr},
                                       {"softmax_scale", "float|None", nullptr},
                                       {"prefix_lm", "bool", false},
                                       {"qk_ln", "bool", false},
                                       {"attn_uses_sequence_id", "bool", false},
                                       {"alibi", "bool", true},
                                       {"alibi_bias_max", "int", 8}}};

/// What transformers does not implement, whatever the config asks for.
void refuse_unsupported(const Config& config, const Config& attention) {
  config.only("expansion_ratio", 4);
  config.only("no_bias", true);
  config.only("norm_type", "low_precision_layernorm");
  config.only("logit_scale", nullptr);
  attention.only("attn_type", "multihead_attention");
  attention.only("qk_ln", false);
  attention.only("prefix_lm", false);
  attention.only("attn_uses_sequence_id", false);
  attention.only("alibi", true);
  attention.only("alibi_bias_max", 8);
}

Architecture read_mpt(const Config& config) {
  const auto attention = config.section("attn_config").declared(kMptAttentionKeys);
  refuse_unsupported(config, attention);
  Architecture facts =
      read_sizes(config, {"n_layers", "d_model", "n_heads", "", "", "", "max_seq_len"});
  facts.ffn_width = 4 * facts.channels;
  facts.norm = {NormKind::kLayer, config.epsilon("layer_norm_epsilon")};
  facts.activation = Activation::kGelu;
  facts.is_gated = false;
  facts.alibi = Alibi::kPlain;
  facts.attention_scale = attention.above_zero_or("softmax_scale", 0);
  facts.qkv_clip = attention.above_zero_or("clip_qkv", 0);
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  return facts;
}

std::vector<TensorRow> mpt_rows(const Architecture& a) {
  const std::string layer = "transformer.blocks.{}.";
  TensorRows rows(a);
  rows.embedding("transformer.wte")
      .norm(layer + "norm_1", Weight::kAttentionNorm)
      .fused_query_key_value(layer + "attn.Wqkv", FusedOrder::kParts)
      .attention_output(layer + "attn.out_proj")
      .norm(layer + "norm_2", Weight::kMlpNorm)
      .up_down(layer + "ffn.up_proj", layer + "ffn.down_proj")
      .norm("transformer.norm_f", Weight::kFinalNorm)
      .head("lm_head");
  return rows.list();
}

}  // namespace

Family mpt_family() {
  return {"mpt",
          read_mpt,
          mpt_rows,
          {},
          "transformer.",
          "LayerNorm without biases before each branch; ALiBi; query, key and value in "
          "one tensor, clipped by `clip_qkv`; GELU without a gate; no biases",
          kMptKeys};
}

}  // namespace actsweep
