// Llama 2 and 3, and models published under its type (SmolLM2 among them): pre-norm RMSNorm, rotary
// positions, grouped query attention, gated SiLU. Biases where config.json says so.
#include "model/family.h"

namespace actsweep {
namespace {

Architecture read_llama(const Config& config) {
  Architecture facts = read_decoder_facts(config);
  facts.ties_embeddings = config.flag_or("tie_word_embeddings", false);
  facts.has_qkv_bias = config.flag_or("attention_bias", false);
  facts.has_output_bias = facts.has_qkv_bias;
  facts.has_mlp_bias = config.flag_or("mlp_bias", false);
  return facts;
}

void add_layer_weights(const Architecture& a, std::vector<TensorRow>& rows) {
  const int64_t c = a.channels, f = a.ffn_width;
  const int64_t q = a.heads * a.head_width, kv = a.kv_heads * a.head_width;
  const std::string layer = "model.layers.{}.";
  const std::string attention = layer + "self_attn.", mlp = layer + "mlp.";
  rows.insert(
      rows.end(),
      {{layer + "input_layernorm.weight", Weight::kAttentionNorm, 0, Cut::kNone, 0, {c}},
       {attention + "q_proj.weight", Weight::kQkv, 0, Cut::kQueryHeads, 0, {q, c}},
       {attention + "k_proj.weight", Weight::kQkv, 1, Cut::kKeyHeads, 0, {kv, c}},
       {attention + "v_proj.weight", Weight::kQkv, 2, Cut::kKeyHeads, 0, {kv, c}},
       {attention + "o_proj.weight", Weight::kAttentionOutput, 0, Cut::kQueryHeads, 1, {c, q}},
       {layer + "post_attention_layernorm.weight", Weight::kMlpNorm, 0, Cut::kNone, 0, {c}},
       {mlp + "gate_proj.weight", Weight::kGateUp, 0, Cut::kFeedForward, 0, {f, c}},
       {mlp + "up_proj.weight", Weight::kGateUp, 1, Cut::kFeedForward, 0, {f, c}},
       {mlp + "down_proj.weight", Weight::kDown, 0, Cut::kFeedForward, 1, {c, f}}});
}

void add_layer_biases(const Architecture& a, std::vector<TensorRow>& rows) {
  const int64_t c = a.channels, f = a.ffn_width;
  const int64_t q = a.heads * a.head_width, kv = a.kv_heads * a.head_width;
  const std::string attention = "model.layers.{}.self_attn.", mlp = "model.layers.{}.mlp.";
  if (a.has_qkv_bias) {
    rows.insert(rows.end(),
                {{attention + "q_proj.bias", Weight::kQkvBias, 0, Cut::kQueryHeads, 0, {q}},
                 {attention + "k_proj.bias", Weight::kQkvBias, 1, Cut::kKeyHeads, 0, {kv}},
                 {attention + "v_proj.bias", Weight::kQkvBias, 2, Cut::kKeyHeads, 0, {kv}}});
  }
  if (a.has_output_bias) {
    rows.push_back(
        {attention + "o_proj.bias", Weight::kAttentionOutputBias, 0, Cut::kNone, 0, {c}});
  }
  if (a.has_mlp_bias) {
    rows.insert(rows.end(),
                {{mlp + "gate_proj.bias", Weight::kGateUpBias, 0, Cut::kFeedForward, 0, {f}},
                 {mlp + "up_proj.bias", Weight::kGateUpBias, 1, Cut::kFeedForward, 0, {f}},
                 {mlp + "down_proj.bias", Weight::kDownBias, 0, Cut::kNone, 0, {c}}});
  }
}

}  // namespace

std::vector<TensorRow> llama_rows(const Architecture& a) {
  const int64_t c = a.channels, v = a.vocabulary;
  std::vector<TensorRow> rows = {
      {"model.embed_tokens.weight", Weight::kEmbedding, 0, Cut::kNone, 0, {v, c}}};
  add_layer_weights(a, rows);
  add_layer_biases(a, rows);
  rows.push_back({"model.norm.weight", Weight::kFinalNorm, 0, Cut::kNone, 0, {c}});
  // A tied head is the embedding's tensor once more.
  const char* head = a.ties_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  rows.push_back({head, Weight::kHead, 0, Cut::kVocabulary, 0, {v, c}});
  return rows;
}

Family llama_family() {
  return {"llama", read_llama, llama_rows, {"model.layers.{}.self_attn.rotary_emb.inv_freq"}};
}

}  // namespace actsweep
