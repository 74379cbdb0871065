// The list of models of several parts.
#include "checkpoint/wrapper.h"

namespace actsweep {
namespace {

const std::vector<std::string> kTower = {"vision_tower.", "multi_modal_projector."};
const std::vector<std::string> kTowerAndRows = {"vision_tower.", "multi_modal_projector.",
                                                "image_newline"};
const std::vector<std::string> kVisual = {"visual."};
const std::vector<std::string> kConnected = {"vision_model.", "connector."};
const std::vector<std::string> kKimi = {"vision_tower.", "multi_modal_projector.", "mm_projector."};
const std::vector<std::string> kGemma4 = {"vision_tower.", "vision_embedder.", "audio_tower.",
                                          "embed_vision.", "embed_audio."};
const char* const kClip = "clip_vision_model";
const char* const kSiglip = "siglip_vision_model";

/// Qwen2-VL and its descendants, whose language model and tower are of types of their own.
Wrapper qwen(const char* type, const char* text, const char* vision, int64_t image_token,
             bool is_early) {
  return {.model_type = type,
          .text_type = text,
          .vision_type = vision,
          .image_token = image_token,
          .beside = kVisual,
          .ties_as_text = is_early,
          .may_be_flat = is_early,
          .has_own_text = true,
          .has_own_tower = true,
          .tower_module = "visual."};
}

/// GLM-4.1V and 4.5V.
Wrapper glm(const char* type, const char* text, const char* vision, int64_t image_token) {
  auto wrapper = qwen(type, text, vision, image_token, false);
  wrapper.ties_as_text = true;
  return wrapper;
}

/// LLaVA and what was made of it.
Wrapper llava(const char* type, const char* text, const char* vision, int64_t image_token,
              bool ties_as_text) {
  return {.model_type = type,
          .text_type = text,
          .vision_type = vision,
          .image_token = image_token,
          .beside = kTowerAndRows,
          .ties_as_text = ties_as_text};
}

Wrapper idefics(const char* type, const char* vision) {
  return {.model_type = type,
          .text_type = "llama",
          .vision_type = vision,
          .image_token = 128257,
          .beside = kConnected,
          .has_own_tower = true,
          .text_module = "text_model.",
          .tower_module = "vision_model."};
}

Wrapper gemma4(const char* type, const char* text, const char* vision) {
  return {.model_type = type,
          .text_type = text,
          .vision_type = vision,
          .image_token = 258880,
          .beside = kGemma4,
          .ties_embeddings = true,
          .has_own_text = true,
          .has_own_tower = true};
}

/// Kimi-VL and Kimi K2.5; the former is published with code of its own.
Wrapper kimi(const char* type, const char* vision) {
  return {.model_type = type,
          .text_type = "deepseek_v3",
          .vision_type = vision,
          .image_token = 163605,
          .beside = kKimi,
          .ties_embeddings = true,
          .has_own_tower = true};
}

}  // namespace

const std::vector<Wrapper>& wrappers() {
  static const std::vector<Wrapper> list = {
      {.model_type = "gemma3",
       .text_type = "gemma3_text",
       .vision_type = kSiglip,
       .image_token = 262144,
       .beside = kTower,
       .ties_type = "bool|None",
       .ties_embeddings = true,
       .has_own_text = true},
      gemma4("gemma4", "gemma4_text", "gemma4_vision"),
      gemma4("gemma4_unified", "gemma4_unified_text", "gemma4_unified_vision"),
      {.model_type = "llama4",
       .text_type = "llama4_text",
       .vision_type = "llama4_vision_model",
       .image_token = 200092,
       .beside = {"vision_model.", "multi_modal_projector."},
       .has_own_text = true,
       .has_own_tower = true,
       .holds_head = true,
       .tower_module = "vision_model."},
      {.model_type = "paligemma",
       .text_type = "gemma",
       .vision_type = kSiglip,
       .image_token = 256000,
       .beside = kTower,
       .ties_embeddings = true,
       .sees_prefix_whole = true},
      llava("llava", "llama", kClip, 32000, true),
      llava("llava_next", "llama", kClip, 32000, false),
      llava("llava_onevision", "qwen2", kSiglip, 151646, true),
      {.model_type = "mistral3",
       .text_type = "mistral",
       .vision_type = "pixtral",
       .image_token = 10,
       .beside = kTower,
       .ties_embeddings = true},
      {.model_type = "internvl",
       .text_type = "qwen2",
       .vision_type = "internvl_vision",
       .image_token = 151667,
       .beside = kTower,
       .ties_embeddings = true,
       .has_own_tower = true},
      {.model_type = "mllama",
       .text_type = "mllama_text_model",
       .vision_type = "mllama_vision_model",
       .image_token = 128256,
       .beside = {"vision_model.", "multi_modal_projector."},
       .has_own_text = true,
       .has_own_tower = true,
       .tower_module = "vision_model."},
      idefics("idefics3", "idefics3_vision"),
      idefics("smolvlm", "smolvlm_vision"),
      qwen("qwen2_vl", "qwen2_vl_text", "qwen2_vl_vision", 151655, true),
      qwen("qwen2_5_vl", "qwen2_5_vl_text", "qwen2_5_vl_vision", 151655, true),
      qwen("qwen3_vl", "qwen3_vl_text", "qwen3_vl_vision", 151655, false),
      qwen("qwen3_vl_moe", "qwen3_vl_moe_text", "qwen3_vl_moe_vision", 151655, false),
      qwen("qwen3_5", "qwen3_5_text", "qwen3_5_vision", 248056, false),
      qwen("qwen3_5_moe", "qwen3_5_moe_text", "qwen3_5_moe_vision", 248056, false),
      glm("glm4v", "glm4v_text", "glm4v_vision", 151343),
      glm("glm4v_moe", "glm4v_moe_text", "glm4v_moe_vision", 151363),
      kimi("kimi_vl", "moonvit"),
      kimi("kimi_k25", "kimi_k25_vision")};
  return list;
}

}  // namespace actsweep
