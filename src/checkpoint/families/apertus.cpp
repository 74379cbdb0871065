// Apertus: Llama's shape with norms of queries and keys for each head, and in place of a gate
// xIELU, whose numbers each layer has learned.
#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"

namespace actsweep {
namespace {

constexpr double kTheta = 12e6;

/// Where config.json says nothing of rotary positions, or null.
const nlohmann::json kApertusRopeParameters = {
    {"rope_type", "llama3"},  {"rope_theta", kTheta},
    {"factor", 8.0},          {"original_max_position_embeddings", 8192},
    {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}};

ConfigKeys apertus_keys() {
  return llama_keys().but({{"vocab_size", "int", 131072},
                           {"intermediate_size", "int", 14336},
                           {"hidden_act", "str", "xielu"},
                           {"max_position_embeddings", "int", 65536},
                           {"rms_norm_eps", "float", 1e-05},
                           {"pad_token_id", "int|None", 3},
                           {"attention_dropout", "float|int", 0.0},
                           {"head_dim", "int"}},
                          {"pretraining_tp", "mlp_bias"});
}

Architecture read_apertus(const Config& config) {
  Architecture facts = read_sizes(config);
  facts.norm.epsilon = config.epsilon("rms_norm_eps");
  facts.is_gated = false;
  facts.has_xielu = config.text("hidden_act") == "xielu";
  if (!facts.has_xielu) facts.activation = read_activation(config, "hidden_act");
  facts.ties_embeddings = config.flag("tie_word_embeddings");
  facts.has_qkv_bias = facts.has_output_bias = config.flag("attention_bias");
  facts.query_key_norm = QueryKeyNorm::kEachHead;
  RopeKeys rope;
  rope.theta = kTheta;
  rope.parameters = kApertusRopeParameters;
  read_rope(config, facts, rope);
  return facts;
}

std::vector<TensorRow> apertus_rows(const Architecture& a) {
  const std::string layer = "model.layers.{}.", activation = layer + "mlp.act_fn.";
  TensorRows rows(a);
  rows.embedding("model.embed_tokens").norm(layer + "attention_layernorm", Weight::kAttentionNorm);
  add_llama_attention(a, rows);
  rows.norm(layer + "feedforward_layernorm", Weight::kMlpNorm)
      .up_down(layer + "mlp.up_proj", layer + "mlp.down_proj");
  if (a.has_xielu) {
    rows.parameter(activation + "alpha_p", Weight::kXielu, {1})
        .parameter(activation + "alpha_n", Weight::kXielu, {1}, 1)
        .parameter(activation + "beta", Weight::kXielu, {}, 2)
        .parameter(activation + "eps", Weight::kXielu, {}, 3);
  }
  rows.norm("model.norm", Weight::kFinalNorm).head("lm_head");
  return rows.list();
}

}  // namespace

Family apertus_family() {
  return {"apertus",
          read_apertus,
          apertus_rows,
          {},
          "model.",
          "RMSNorm before each branch; query/key norms for each head; rotary positions, llama3; "
          "xIELU without a gate, by two learned numbers a layer",
          apertus_keys()};
}

}  // namespace actsweep
