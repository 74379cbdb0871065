// SigLIP's vision model, alone or as the half of a SigLIP: patches alone, without a class token;
// LayerNorm before each branch. Its pooling head is of its training.
#include "checkpoint/family.h"
#include "checkpoint/vision_facts.h"

namespace actsweep {
namespace {

const ConfigKeys kSiglipKeys = {{{"text_config", "dict|None", nullptr},
                                 {"vision_config", "dict|None", nullptr},
                                 {"initializer_factor", "float", 1.0}}};

const ConfigKeys kSiglipVisionKeys = {{{"hidden_size", "int", 768},
                                       {"intermediate_size", "int", 3072},
                                       {"num_hidden_layers", "int", 12},
                                       {"num_attention_heads", "int", 12},
                                       {"num_channels", "int", 3},
                                       {"image_size", "int|list[int]", 224},
                                       {"patch_size", "int|list[int]", 16},
                                       {"hidden_act", "str", "gelu_pytorch_tanh"},
                                       {"layer_norm_eps", "float", 1e-06},
                                       {"attention_dropout", "float|int", 0.0},
                                       {"vision_use_head", "bool", true}}};

Architecture read_siglip_vision(const Config& config) {
  Architecture facts = read_vision_sizes(config);
  facts.image.class_tokens = 0;
  facts.position_rows -= 1;
  require_single_sides(config);
  return facts;
}

Architecture read_siglip(const Config& config) {
  Architecture facts =
      read_siglip_vision(config.section("vision_config").declared(kSiglipVisionKeys));
  facts.family = "siglip";
  return facts;
}

std::vector<TensorRow> siglip_rows(const Architecture& a) {
  const std::string model = "vision_model.";
  TensorRows rows(a);
  rows.patches(model + "embeddings.patch_embedding")
      .positions(model + "embeddings.position_embedding");
  add_clip_layers(model, rows);
  rows.norm(model + "post_layernorm", Weight::kFinalNorm);
  return rows.list();
}

}  // namespace

Family siglip_vision_model_family() {
  return {"siglip_vision_model",
          read_siglip_vision,
          siglip_rows,
          {"vision_model.head.*"},
          "vision_model.",
          "LayerNorm before each branch; patches alone, without a class token; learned "
          "positions; attention without a mask; GELU (tanh) without a gate; biases",
          kSiglipVisionKeys};
}

Family siglip_family() {
  return {"siglip",
          read_siglip,
          siglip_rows,
          {"vision_model.head.*", "text_model.*", "logit_scale", "logit_bias", "classifier.*"},
          "",
          "the vision half of a whole SigLIP, as `siglip_vision_model`",
          kSiglipKeys};
}

}  // namespace actsweep
