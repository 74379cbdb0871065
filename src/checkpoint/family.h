// The list of model families. A family is one file of data in families/: how it reads its config,
// and its tensor rows.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"
#include "checkpoint/decoder_facts.h"
#include "checkpoint/rope_facts.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

struct Family {
  const char* model_type;  // as config.json has it
  Architecture (*read)(const Config& config);
  std::vector<TensorRow> (*rows)(const Architecture& architecture);
  /// Tensors that a checkpoint may hold and no forward pass needs; "name.*" for all that begin so.
  std::vector<std::string> ignored = {};
  /// The beginning of names that checkpoints saved from the bare model lack.
  std::string prefix = {};
  /// One line for people: norms, positions, attention, MLP, extras.
  const char* brings = "";
  /// What the family's class in transformers declares of config.json.
  ConfigKeys keys = {};
};

/// All families, in the order of the documentation.
const std::vector<Family>& families();
/// Those that are the language model of a model of several parts, and never alone.
const std::vector<Family>& text_families();

/// The table of docs/models.md.
std::string families_markdown();

/// The family of a config; refuses (kModel) an unknown `model_type` and lists the known ones.
const Family& family_of(const Config& config);

/// What a family makes of a config, the keys that are missing by their defaults.
Architecture read_architecture(const Family& family, const Config& config);

/// What the families in the shape of Llama share: sizes, RMSNorm, rotary positions, the gated MLP.
Architecture read_llama_facts(const Config& config, const RopeKeys& rope = {});

/// The rows that they share: those of attention, with norms of queries and keys where the
/// architecture has them; of the gated MLP; and all of them.
void add_llama_attention(const Architecture& architecture, TensorRows& rows);
std::vector<TensorRow> llama_rows(const Architecture& architecture);

/// What GPT-2 and GPT-BigCode share; their layers, final norm and head.
Architecture read_gpt2_facts(const Config& config);
void add_gpt2_layers(FusedOrder order, TensorRows& rows);

/// What Gemma, Gemma 2 and Gemma 3 share; what the last two share.
void use_gemma_facts(const Config& config, Architecture& facts);
Architecture read_gemma2_facts(const Config& config);
std::vector<TensorRow> gemma2_rows(const Architecture& architecture);

/// What BERT and RoBERTa share: facts but for positions; rows, under names that begin with `model`.
Architecture read_bert_facts(const Config& config);
std::vector<TensorRow> bert_rows(const Architecture& architecture, const std::string& model);

/// What Qwen2-MoE and Qwen3-MoE share; the rows behind attention, which Qwen3-Next has too.
void read_qwen_experts(const Config& config, Architecture& facts);
void add_qwen_moe_rows(const Architecture& architecture, TensorRows& rows);
std::vector<TensorRow> qwen_moe_rows(const Architecture& architecture);

/// What Qwen3-Next and Qwen3.5 share: all but the MLP, and the delta rule's projections among the
/// rows.
Architecture read_qwen3_next_facts(const Config& config, const SizeKeys& sizes, RopeKeys rope);
void add_qwen3_next_mixers(const Architecture& architecture, TensorRows& rows);

Family bert_family();
Family clip_family();
Family clip_vision_model_family();
Family cohere_family();
Family dinov2_family();
Family dinov2_with_registers_family();
Family eurobert_family();
Family falcon_family();
Family gemma_family();
Family gemma2_family();
Family gemma3_text_family();
Family gpt2_family();
Family gpt_bigcode_family();
Family gpt_neox_family();
Family gpt_oss_family();
Family llama_family();
Family mistral_family();
Family mixtral_family();
Family modernbert_family();
Family mpt_family();
Family olmo2_family();
Family opt_family();
Family phi_family();
Family phi3_family();
Family qwen2_family();
Family qwen2_moe_family();
Family qwen3_family();
Family qwen2_vl_text_family();
Family qwen2_5_vl_text_family();
Family qwen3_5_moe_text_family();
Family qwen3_5_text_family();
Family qwen3_moe_family();
Family qwen3_next_family();
Family qwen3_vl_text_family();
Family roberta_family();
Family siglip_family();
Family siglip_vision_model_family();
Family stablelm_family();
Family starcoder2_family();
Family vit_family();
Family vit_mae_family();
Family xlm_roberta_family();

}  // namespace actsweep
