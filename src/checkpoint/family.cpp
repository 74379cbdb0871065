#include "checkpoint/family.h"

#include <algorithm>

#include "base/error.h"
#include "checkpoint/wrapper.h"

namespace actsweep {

const std::vector<Family>& families() {
  static const std::vector<Family> list = {gpt2_family(),
                                           opt_family(),
                                           gpt_neo_family(),
                                           gptj_family(),
                                           codegen_family(),
                                           gpt_neox_family(),
                                           falcon_family(),
                                           mpt_family(),
                                           phi_family(),
                                           phi3_family(),
                                           llama_family(),
                                           smollm3_family(),
                                           seed_oss_family(),
                                           mistral_family(),
                                           ministral3_family(),
                                           qwen2_family(),
                                           qwen3_family(),
                                           mixtral_family(),
                                           qwen2_moe_family(),
                                           qwen3_moe_family(),
                                           qwen3_next_family(),
                                           qwen3_5_text_family(),
                                           qwen3_5_moe_text_family(),
                                           lfm2_family(),
                                           nemotron_h_family(),
                                           granitemoehybrid_family(),
                                           bamba_family(),
                                           falcon_h1_family(),
                                           mamba_family(),
                                           falcon_mamba_family(),
                                           jamba_family(),
                                           gemma_family(),
                                           gemma2_family(),
                                           gemma3_text_family(),
                                           gemma4_text_family(),
                                           gemma4_unified_text_family(),
                                           olmo2_family(),
                                           olmo3_family(),
                                           exaone4_family(),
                                           cohere_family(),
                                           cohere2_family(),
                                           glm_family(),
                                           glm4_family(),
                                           ernie4_5_family(),
                                           stablelm_family(),
                                           starcoder2_family(),
                                           gpt_bigcode_family(),
                                           gpt_oss_family(),
                                           bert_family(),
                                           roberta_family(),
                                           xlm_roberta_family(),
                                           modernbert_family(),
                                           eurobert_family(),
                                           llama4_text_family(),
                                           glm4_moe_family(),
                                           dots1_family(),
                                           minimax_m2_family(),
                                           ernie4_5_moe_family(),
                                           deepseek_v2_family(),
                                           deepseek_v3_family(),
                                           glm4_moe_lite_family(),
                                           granite_family(),
                                           nemotron_family(),
                                           arcee_family(),
                                           olmo_family(),
                                           olmoe_family(),
                                           bloom_family(),
                                           apertus_family(),
                                           granitemoe_family(),
                                           granitemoeshared_family(),
                                           hunyuan_v1_dense_family(),
                                           hunyuan_v1_moe_family(),
                                           helium_family(),
                                           biogpt_family(),
                                           phimoe_family(),
                                           dbrx_family(),
                                           llada_family(),
                                           dream_family(),
                                           clip_vision_model_family(),
                                           clip_family(),
                                           vit_mae_family(),
                                           vit_msn_family(),
                                           vit_family(),
                                           deit_family(),
                                           ijepa_family(),
                                           dinov2_family(),
                                           dinov2_with_registers_family(),
                                           dinov3_vit_family(),
                                           aimv2_vision_model_family(),
                                           aimv2_family(),
                                           siglip_vision_model_family(),
                                           siglip_family()};
  return list;
}

const std::vector<Family>& part_families() {
  static const std::vector<Family> list = {qwen2_vl_text_family(),     qwen2_5_vl_text_family(),
                                           qwen3_vl_text_family(),     qwen3_vl_moe_text_family(),
                                           glm4v_text_family(),        glm4v_moe_text_family(),
                                           mllama_text_model_family(), internvl_vision_family()};
  return list;
}

namespace {

/// Types that are published with code of their own and are others by their mathematics.
struct OtherName {
  const char* model_type;
  const char* family;
};
constexpr OtherName kOtherNames[] = {{"kimi_k2", "deepseek_v3"}};

/// A model with mathematics that is not here, and what could be read in its place.
struct Unread {
  const char* model_type;
  const char* expected;
};

constexpr const char* kNoPlaces =
    "a model whose scores have no bias by the places of query and key, such as \"vit\"";
constexpr const char* kNoWindows = "a model that sees an image whole and at one resolution";
constexpr const char* kNoFrames = "a model of images, not of the frames of a video";
constexpr const char* kNoSizes = "a model of images of one size, not one of images of any size";
constexpr const char* kNoFractions =
    "a model with a position for each patch, not for each fraction of an image's sides";
constexpr const char* kNoTiles = "a model that sees an image whole, not in tiles with gates";
constexpr const char* kNoStreams =
    "a model with one residual stream: AltUp keeps several, LAuReL adds a low-rank branch, and "
    "each "
    "layer has embeddings of its own, as no family here has them";
constexpr const char* kNoSharing = "a model whose layers have weights of their own";
constexpr Unread kUnread[] = {
    {"kimi_linear", "a model whose states decay by heads, not by channels, such as \"qwen3_next\""},
    {"zamba", kNoSharing},
    {"zamba2", kNoSharing},
    {"gemma3n", kNoStreams},
    {"gemma3n_text", kNoStreams},
    {"beit", kNoPlaces},
    {"diffllama", "a model whose heads have one softmax each, not the difference of two"},
    {"doge", "a model whose scores have no bias that values make, such as \"llama\""},
    {"lladamoe", "\"llada\", whose layers have no experts"},
    {"siglip2", "\"siglip\", a SigLIP 2 of fixed size, not one of images of any size (NaFlex)"},
    {"siglip2_vision_model",
     "\"siglip_vision_model\", a SigLIP 2 of fixed size, not one of images of any size (NaFlex)"},
    {"pixtral", kNoSizes},
    {"qwen2_vl_vision", kNoSizes},
    {"qwen2_5_vl_vision", kNoSizes},
    {"qwen3_vl_vision", kNoSizes},
    {"qwen3_vl_moe_vision", kNoSizes},
    {"qwen3_5_vision", kNoSizes},
    {"qwen3_5_moe_vision", kNoSizes},
    {"glm4v_vision", kNoSizes},
    {"glm4v_moe_vision", kNoSizes},
    {"kimi_k25_vision", kNoSizes},
    {"moonvit", kNoSizes},
    {"idefics3_vision", kNoFractions},
    {"smolvlm_vision", kNoFractions},
    {"mllama_vision_model", kNoTiles},
    {"eva", "a type that transformers has"},
    {"sam", kNoWindows},
    {"sam_vision_model", kNoWindows},
    {"sam2", kNoWindows},
    {"videomae", kNoFrames},
    {"vjepa2", kNoFrames}};

bool is_unread(const std::string& type) {
  return std::ranges::any_of(kUnread, [&](const Unread& each) { return type == each.model_type; });
}

/// What the table says of a model of several parts.
std::string brought_by(const Wrapper& wrapper) {
  auto text = fmt::format(
      "the language model of a model of several parts, of any type that reads text (`{}` where "
      "`text_config` names none)",
      wrapper.text_type);
  if (wrapper.has_own_text) {
    text = fmt::format("the language model (`{}`) of a model of several parts", wrapper.text_type);
  }
  if (is_unread(wrapper.vision_type)) return text;
  return text + fmt::format("; its tower, such as `{}`", wrapper.vision_type);
}

}  // namespace

std::string families_markdown() {
  std::string table = "| `model_type` | what it brings |\n|---|---|\n";
  for (const auto& family : families()) {
    table += fmt::format("| `{}` | {} |\n", family.model_type, family.brings);
  }
  for (const auto& other : kOtherNames) {
    table += fmt::format("| `{}` | `{}` under another name |\n", other.model_type, other.family);
  }
  for (const auto& wrapper : wrappers()) {
    table += fmt::format("| `{}` | {} |\n", wrapper.model_type, brought_by(wrapper));
  }
  return table;
}

namespace {

void refuse_unread(const Config& config, const std::string& type) {
  for (const auto& unread : kUnread) {
    if (type == unread.model_type) config.refuse("model_type", unread.expected);
  }
}

/// A model of several parts that is not known (checkpoint/wrapper.h has those that are).
void refuse_parts(const Config& config, const std::string& type) {
  const char* key = "text_config";
  if (!config.has(key) || !config.values().at(key).is_object()) return;
  const auto inner = config.section(key).text_or("model_type", "another");
  fail(ErrorKind::kModel,
       "{}: \"model_type\": \"{}\" is a model of several parts; expected its language model alone "
       "(\"{}\", of type \"{}\"), as save_pretrained() of transformers writes that part",
       config.path(), type, key, inner);
}

/// What would make another model of any family.
void refuse_other_masks(const Config& config) {
  const char* key = "is_causal";
  if (!config.contains(key) || !is_falsy(config.values().at(key))) return;
  config.refuse(key, "true: attention of every token to those before it");
}

}  // namespace

const Family& family_of(const Config& config) {
  auto type = config.text("model_type");
  for (const auto& other : kOtherNames) {
    if (type == other.model_type) type = other.family;
  }
  for (const auto& family : families()) {
    if (type == family.model_type) return family;
  }
  for (const auto& family : part_families()) {
    if (type == family.model_type) return family;
  }
  refuse_unread(config, type);
  refuse_parts(config, type);
  config.refuse("model_type", "one of the types that \"actsweep models\" lists");
}

Architecture read_architecture(const Family& family, const Config& config) {
  const char* by_layer = "per_layer_config";
  if (!family.keys.declares(by_layer)) config.only(by_layer, nullptr);
  auto facts = family.read(config.declared(family.keys));
  if (facts.is_causal) refuse_other_masks(config);
  return facts;
}

}  // namespace actsweep
