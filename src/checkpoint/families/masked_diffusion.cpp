// Decoders that predict masked tokens, as they are published with code of their own: LLaDA, which
// has Llama's mathematics under OLMo's names, and Dream, which has Qwen2's. Neither has a mask.
#include "base/error.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

const char* const kMaskId = "mask_token_id";

const ConfigKeys kLladaKeys = {{{"d_model", "int"},
                                {"n_heads", "int"},
                                {"n_kv_heads", "int|None", nullptr},
                                {"n_layers", "int"},
                                {"mlp_hidden_size", "int"},
                                {"vocab_size", "int"},
                                {"embedding_size", "int|None", nullptr},
                                {"max_sequence_length", "int"},
                                {"activation_type", "str"},
                                {"rms_norm_eps", "float"},
                                {"rope_theta", "float"},
                                {"weight_tying", "bool"},
                                {"include_bias", "bool", false},
                                {"include_qkv_bias", "bool|None", nullptr},
                                {"mask_token_id", "int"}}};

ConfigKeys dream_keys() {
  return qwen2_keys().but({{"mask_token_id", "int"}, {"use_mrope", "bool", false}});
}

/// No forward pass without a mask has a next token.
void predict_masked(const Config& config, Architecture& facts) {
  facts.is_causal = false;
  facts.mask_id = config.count(kMaskId);
  if (facts.mask_id >= facts.vocabulary) {
    config.refuse(kMaskId, fmt::format("an id below {}", facts.vocabulary));
  }
}

/// Switches of OLMo's code that would make another model.
void check_llada_switches(const Config& config) {
  config.only("block_type", "llama");
  config.only("layer_norm_type", "rms");
  config.only("layer_norm_with_affine", true);
  config.only("bias_for_layer_norm", false);
  config.only("attention_layer_norm", false);
  config.only("include_bias", false);
  config.only("input_emb_norm", false);
  config.only("scale_logits", false);
  config.only("alibi", false);
  config.only("rope", true);
  config.only("multi_query_attention", nullptr);
  config.only("rope_scaling", nullptr);
  config.only("clip_qkv", nullptr);
}

Architecture read_llada(const Config& config) {
  check_llada_switches(config);
  Architecture facts = read_sizes(config, {"n_layers", "d_model", "n_heads", "n_kv_heads", "",
                                           "mlp_hidden_size", "max_sequence_length"});
  facts.vocabulary = config.positive_or("embedding_size", facts.vocabulary);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.activation = read_activation(config, "activation_type");
  facts.ties_embeddings = config.flag("weight_tying");
  facts.has_qkv_bias = config.flag("include_qkv_bias");
  read_rope(config, facts);
  predict_masked(config, facts);
  return facts;
}

std::vector<TensorRow> llada_rows(const Architecture& a) {
  const std::string model = "model.transformer.", layer = model + "blocks.{}.";
  TensorRows rows(a);
  rows.embedding(model + "wte")
      .norm(layer + "attn_norm", Weight::kAttentionNorm)
      .query_key_value(layer, "q_proj", "k_proj", "v_proj")
      .attention_output(layer + "attn_out")
      .norm(layer + "ff_norm", Weight::kMlpNorm)
      .gate_up_down(layer, {"ff_proj", "up_proj", "ff_out"})
      .norm(model + "ln_f", Weight::kFinalNorm)
      .head(model + "ff_out");
  return rows.list();
}

Architecture read_dream(const Config& config) {
  config.only("use_mrope", false);
  config.only("use_sliding_window", false);
  Architecture facts = read_llama_facts(config);
  facts.has_qkv_bias = true;
  check_unused_windows(config, read_sliding_layers(config, facts));
  predict_masked(config, facts);
  return facts;
}

}  // namespace

Family llada_family() {
  return {
      "llada",
      read_llada,
      llada_rows,
      {},
      "model.",
      "Llama under OLMo's names, without a mask: predicts masked tokens (`[corpus] mask_ratio`)",
      kLladaKeys};
}

Family dream_family() {
  return {"Dream",     read_dream,
          llama_rows,  {},
          "model.",    "`qwen2` without a mask: predicts masked tokens (`[corpus] mask_ratio`)",
          dream_keys()};
}

}  // namespace actsweep
