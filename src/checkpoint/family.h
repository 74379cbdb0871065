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
  bool is_saved_bare = false;     // transformers saves its tensors without the prefix
  std::string other_prefix = {};  // that transformers' own modules have in its place
};

/// All families, in the order of the documentation.
const std::vector<Family>& families();
/// Those that are a part of a model of several parts, and never alone.
const std::vector<Family>& part_families();

/// The table of docs/models.md.
std::string families_markdown();

/// The family of a config; refuses (kModel) an unknown `model_type`.
const Family& family_of(const Config& config);

/// What a family makes of a config, the keys that are missing by their defaults.
Architecture read_architecture(const Family& family, const Config& config);

/// What the families in the shape of Llama share: sizes, RMSNorm, rotary positions, the gated MLP.
Architecture read_llama_facts(const Config& config, const RopeKeys& rope = {});
/// The same without positions.
Architecture read_llama_shape(const Config& config);

/// The rows that they share: those of attention, with norms of queries and keys where the
/// architecture has them; all of them, with the gated MLP or with another.
void add_llama_attention(const Architecture& architecture, TensorRows& rows);
std::vector<TensorRow> llama_rows(const Architecture& architecture);
using AddMlp = void (*)(const Architecture& architecture, TensorRows& rows);
std::vector<TensorRow> llama_rows_around(const Architecture& architecture, AddMlp add_mlp);

/// What GPT-2 and GPT-BigCode share; their layers, final norm and head.
Architecture read_gpt2_facts(const Config& config);
void add_gpt2_layers(FusedOrder order, TensorRows& rows);

/// What GPT-J and CodeGen share; their MLP, final norm and head.
Architecture read_gptj_facts(const Config& config);
void add_gptj_mlp(TensorRows& rows);

/// What Cohere and Cohere 2 share; the base of rotary positions where none is given.
Architecture read_cohere_facts(const Config& config, double theta);
std::vector<TensorRow> cohere_rows(const Architecture& architecture);

/// A soft cap, or 0 for none. The kernels' tanh has an absolute error, which the cap multiplies.
double read_soft_cap(const Config& config, const char* key);
/// What Gemma, Gemma 2 and Gemma 3 share; what the last two share.
void use_gemma_facts(const Config& config, Architecture& facts);
Architecture read_gemma2_facts(const Config& config);
std::vector<TensorRow> gemma2_rows(const Architecture& architecture);

/// What BERT and RoBERTa share: facts but for positions; rows, under names that begin with `model`.
Architecture read_bert_facts(const Config& config);
std::vector<TensorRow> bert_rows(const Architecture& architecture, const std::string& model);

/// What OLMo 2 and 3 and EXAONE 4 share.
std::vector<TensorRow> olmo2_rows(const Architecture& architecture);
/// What Granite and its families of experts share.
ConfigKeys granite_keys();
Architecture read_granite_facts(const Config& config);
/// What Bamba and Falcon-H1 share.
ConfigKeys bamba_keys();

/// What Qwen2-MoE and Qwen3-MoE share; the rows behind attention, which Qwen3-Next has too.
void read_qwen_experts(const Config& config, Architecture& facts);
void add_qwen_moe_rows(const Architecture& architecture, TensorRows& rows);
std::vector<TensorRow> qwen_moe_rows(const Architecture& architecture);

/// What Qwen3-Next and Qwen3.5 share: all but the MLP, and the delta rule's projections among the
/// rows.
Architecture read_qwen3_next_facts(const Config& config, const SizeKeys& sizes, RopeKeys rope);
void add_qwen3_next_mixers(const Architecture& architecture, TensorRows& rows);

Family aimv2_family();
Family aimv2_vision_model_family();
Family bamba_family();
Family falcon_h1_family();
Family bert_family();
Family biogpt_family();
Family dbrx_family();
Family dream_family();
Family helium_family();
Family hunyuan_v1_moe_family();
Family llada_family();
Family phimoe_family();
Family apertus_family();
Family arcee_family();
Family bloom_family();
Family granitemoe_family();
Family granitemoehybrid_family();
Family granitemoeshared_family();
Family hunyuan_v1_dense_family();
Family clip_family();
Family clip_vision_model_family();
Family codegen_family();
Family cohere_family();
Family cohere2_family();
Family dinov2_family();
Family dinov2_with_registers_family();
Family ernie4_5_family();
Family deit_family();
Family dinov3_vit_family();
Family deepseek_v2_family();
Family deepseek_v3_family();
Family dots1_family();
Family ernie4_5_moe_family();
Family eurobert_family();
Family exaone4_family();
Family falcon_family();
Family falcon_mamba_family();
Family gemma_family();
Family gemma2_family();
Family gemma3_text_family();
Family gemma4_text_family();
Family gemma4_unified_text_family();
Family glm4_moe_family();
Family glm4_moe_lite_family();
Family glm4v_moe_text_family();
Family glm4v_text_family();
Family glm_family();
Family glm4_family();
Family gpt2_family();
Family gpt_bigcode_family();
Family gpt_neo_family();
Family gpt_neox_family();
Family gpt_oss_family();
Family gptj_family();
Family ijepa_family();
Family internvl_vision_family();
Family jamba_family();
Family lfm2_family();
Family llama_family();
Family llama4_text_family();
Family granite_family();
Family mamba_family();
Family minimax_m2_family();
Family ministral3_family();
Family mistral_family();
Family mixtral_family();
Family mllama_text_model_family();
Family modernbert_family();
Family mpt_family();
Family nemotron_family();
Family nemotron_h_family();
Family olmo_family();
Family olmo2_family();
Family olmo3_family();
Family olmoe_family();
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
Family qwen3_vl_moe_text_family();
Family qwen3_next_family();
Family qwen3_vl_text_family();
Family roberta_family();
Family seed_oss_family();
Family siglip_family();
Family siglip_vision_model_family();
Family smollm3_family();
Family stablelm_family();
Family starcoder2_family();
Family vit_family();
Family vit_mae_family();
Family vit_msn_family();
Family xlm_roberta_family();

}  // namespace actsweep
