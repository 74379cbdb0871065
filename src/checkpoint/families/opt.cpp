// OPT: learned positions from row 2 on, LayerNorm with biases, ReLU without a gate. The 350M model
// norms the residual stream after each addition and projects its narrower embeddings in and out.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kOptKeys = {{{"vocab_size", "int", 50272},
                              {"hidden_size", "int", 768},
                              {"num_hidden_layers", "int", 12},
                              {"ffn_dim", "int", 3072},
                              {"max_position_embeddings", "int", 2048},
                              {"do_layer_norm_before", "bool", true},
                              {"_remove_final_layer_norm", "bool", false},
                              {"word_embed_proj_dim", "int|None", nullptr},
                              {"dropout", "float|int", 0.1},
                              {"attention_dropout", "float|int", 0.0},
                              {"num_attention_heads", "int", 12},
                              {"activation_function", "str", "relu"},
                              {"layerdrop", "float|int", 0.0},
                              {"init_std", "float", 0.02},
                              {"use_cache", "bool", true},
                              {"pad_token_id", "int|None", 1},
                              {"bos_token_id", "int|None", 2},
                              {"eos_token_id", "int|list[int]|None", 2},
                              {"enable_bias", "bool", true},
                              {"layer_norm_elementwise_affine", "bool", true},
                              {"tie_word_embeddings", "bool", true}}};

constexpr int64_t kPositionOffset = 2;  // rows that no position uses

Architecture read_opt(const Config& config) {
  config.only("layer_norm_elementwise_affine", true);
  config.only("_remove_final_layer_norm", false);
  SizeKeys keys;
  keys.kv_heads = keys.head_width = "";
  keys.ffn_width = "ffn_dim";
  Architecture facts = read_sizes(config, keys);
  facts.embedding_width = config.positive_or("word_embed_proj_dim", facts.channels);
  facts.norm = {NormKind::kLayer, 1e-5};  // PyTorch's default: config.json has no key for it
  facts.norm.has_bias = true;
  facts.norm.is_after_addition = !config.flag("do_layer_norm_before");
  facts.activation = read_activation(config, "activation_function");
  facts.is_gated = false;
  facts.has_qkv_bias = config.flag("enable_bias");
  facts.has_output_bias = facts.has_mlp_bias = facts.has_qkv_bias;
  facts.position_rows = config.positive("max_position_embeddings") + kPositionOffset;
  facts.position_offset = kPositionOffset;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  return facts;
}

std::vector<TensorRow> opt_rows(const Architecture& a) {
  const std::string model = "model.decoder.", layer = "model.decoder.layers.{}.";
  TensorRows rows(a);
  rows.embedding(model + "embed_tokens").positions(model + "embed_positions");
  if (a.embedding_width != a.channels) {
    rows.projections(model + "project_in", model + "project_out");
  }
  rows.norm(layer + "self_attn_layer_norm", Weight::kAttentionNorm)
      .query_key_value(layer + "self_attn.", "q_proj", "k_proj", "v_proj")
      .attention_output(layer + "self_attn.out_proj")
      .norm(layer + "final_layer_norm", Weight::kMlpNorm)
      .up_down(layer + "fc1", layer + "fc2");
  if (!a.norm.is_after_addition) rows.norm(model + "final_layer_norm", Weight::kFinalNorm);
  rows.head("lm_head");
  return rows.list();
}

}  // namespace

Family opt_family() {
  return {"opt",
          read_opt,
          opt_rows,
          {},
          "model.",
          "LayerNorm before each branch, or after each addition (350M); learned positions"
          " from row 2 on; ReLU without a gate; biases by `enable_bias`; narrower "
          "embeddings, projected in and out",
          kOptKeys};
}

}  // namespace actsweep
