// SigLIP's vision model: patches alone, without a class token; LayerNorm before each branch. Its
// pooling head is of its training.
#include "model/family.h"
#include "model/vision_facts.h"

namespace actsweep {
namespace {

Architecture read_siglip_vision(const Config& given) {
  const Config config = given.with_defaults({{"hidden_act", "gelu_pytorch_tanh"}});
  Architecture facts = read_vision_sizes(config);
  facts.norm.epsilon = config.number_or("layer_norm_eps", 1e-6);
  facts.image.has_class_token = false;
  facts.position_rows -= 1;
  require_square_grid(config, facts);
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
          {"vision_model.head.*", "vision_model.embeddings.position_ids"},
          "vision_model.",
          "LayerNorm before each branch; patches alone, without a class token; learned "
          "positions; attention without a mask; GELU (tanh) without a gate; biases"};
}

}  // namespace actsweep
