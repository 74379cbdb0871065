// BioGPT: OPT's layers under names of its own, with GELU and embeddings that are scaled.
#include <cmath>

#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

const ConfigKeys kBioGptKeys = {{{"vocab_size", "int", 42384},
                                 {"hidden_size", "int", 1024},
                                 {"num_hidden_layers", "int", 24},
                                 {"num_attention_heads", "int", 16},
                                 {"intermediate_size", "int", 4096},
                                 {"hidden_act", "str", "gelu"},
                                 {"hidden_dropout_prob", "float|int", 0.1},
                                 {"attention_probs_dropout_prob", "float|int", 0.1},
                                 {"max_position_embeddings", "int", 1024},
                                 {"initializer_range", "float", 0.02},
                                 {"layer_norm_eps", "float", 1e-12},
                                 {"scale_embedding", "bool", true},
                                 {"use_cache", "bool", true},
                                 {"layerdrop", "float|int", 0.0},
                                 {"activation_dropout", "float|int", 0.0},
                                 {"pad_token_id", "int|None", 1},
                                 {"bos_token_id", "int|None", 0},
                                 {"eos_token_id", "int|list[int]|None", 2},
                                 {"tie_word_embeddings", "bool", true}}};

constexpr int64_t kUnusedPositions = 2;  // rows below the first position's

Architecture read_biogpt(const Config& config) {
  SizeKeys keys;
  keys.kv_heads = keys.head_width = "";
  Architecture facts = read_sizes(config, keys);
  facts.norm = {NormKind::kLayer, 1e-5};  // PyTorch's default: no module reads "layer_norm_eps"
  facts.norm.has_bias = true;
  facts.activation = read_activation(config, "hidden_act");
  facts.is_gated = false;
  facts.has_qkv_bias = facts.has_output_bias = facts.has_mlp_bias = true;
  facts.position_rows = facts.max_positions + kUnusedPositions;
  facts.position_offset = kUnusedPositions;
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  if (config.flag("scale_embedding")) {
    facts.embedding_scale = std::sqrt(static_cast<double>(facts.channels));
  }
  return facts;
}

std::vector<TensorRow> biogpt_rows(const Architecture& a) {
  const std::string model = "biogpt.", layer = model + "layers.{}.";
  TensorRows rows(a);
  rows.embedding(model + "embed_tokens")
      .positions(model + "embed_positions")
      .norm(layer + "self_attn_layer_norm", Weight::kAttentionNorm)
      .query_key_value(layer + "self_attn.", "q_proj", "k_proj", "v_proj")
      .attention_output(layer + "self_attn.out_proj")
      .norm(layer + "final_layer_norm", Weight::kMlpNorm)
      .up_down(layer + "fc1", layer + "fc2")
      .norm(model + "layer_norm", Weight::kFinalNorm)
      .head("output_projection");
  return rows.list();
}

}  // namespace

Family biogpt_family() {
  return {"biogpt",
          read_biogpt,
          biogpt_rows,
          {},
          "biogpt.",
          "LayerNorm before each branch; learned positions from row 2 on; embeddings scaled by "
          "`scale_embedding`; GELU without a gate; biases",
          kBioGptKeys};
}

}  // namespace actsweep
