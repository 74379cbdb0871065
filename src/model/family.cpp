#include "model/family.h"

#include "base/error.h"

namespace actsweep {

const std::vector<Family>& families() {
  static const std::vector<Family> list = {gpt2_family(),
                                           opt_family(),
                                           gpt_neox_family(),
                                           falcon_family(),
                                           mpt_family(),
                                           phi_family(),
                                           phi3_family(),
                                           llama_family(),
                                           mistral_family(),
                                           qwen2_family(),
                                           qwen3_family(),
                                           mixtral_family(),
                                           qwen2_moe_family(),
                                           qwen3_moe_family(),
                                           gemma_family(),
                                           gemma2_family(),
                                           gemma3_text_family(),
                                           olmo2_family(),
                                           cohere_family(),
                                           stablelm_family(),
                                           starcoder2_family(),
                                           gpt_bigcode_family(),
                                           gpt_oss_family(),
                                           clip_vision_model_family(),
                                           clip_family(),
                                           vit_mae_family(),
                                           vit_family(),
                                           dinov2_family(),
                                           dinov2_with_registers_family(),
                                           siglip_vision_model_family()};
  return list;
}

const Family& family_of(const Config& config) {
  const auto type = config.text("model_type");
  std::string known;
  for (const auto& family : families()) {
    if (type == family.model_type) return family;
    known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", family.model_type);
  }
  fail(ErrorKind::kModel, "{}: \"model_type\": expected one of {}, found \"{}\"", config.path(),
       known, type);
}

}  // namespace actsweep
