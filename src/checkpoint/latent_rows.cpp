// The rows of latent attention. Every rank holds the products that make latents whole.
#include "checkpoint/tensor_rows.h"

namespace actsweep {

TensorRows& TensorRows::latent_query(const std::string& prefix) {
  const int64_t from = a_.latent.query, out = a_.heads * a_.head_width;
  const auto up = [&](const std::string& name, int64_t in) {
    product(prefix + name, Weight::kLatentQuery, 0, Cut::kQueryHeads, 0, {out, in}).unit =
        a_.head_width;
  };
  const auto first = rows_.size();
  if (from == 0) {
    up("q_proj", a_.channels);
  } else {
    product(prefix + "q_a_proj", Weight::kQueryDown, 0, Cut::kNone, 0, {from, a_.channels});
    if (a_.latent.has_bias) {
      vector(prefix + "q_a_proj.bias", Weight::kQueryDownBias, 0, Cut::kNone, from);
    }
    vector(prefix + "q_a_layernorm.weight", Weight::kQueryLatentNorm, 0, Cut::kNone, from);
    up("q_b_proj", from);
  }
  belong_to(TensorRow::Layers::kAttention, first);
  return *this;
}

TensorRows& TensorRows::latent_key_value(const std::string& prefix) {
  const int64_t from = a_.latent.key_value, down = from + a_.latent.rotated;
  const int64_t width = a_.head_width - a_.latent.rotated + a_.value_width;
  const std::string name = prefix + "kv_a_proj_with_mqa";
  const auto first = rows_.size();
  product(name, Weight::kKeyValueDown, 0, Cut::kNone, 0, {down, a_.channels});
  if (a_.latent.has_bias) vector(name + ".bias", Weight::kKeyValueDownBias, 0, Cut::kNone, down);
  vector(prefix + "kv_a_layernorm.weight", Weight::kKeyValueLatentNorm, 0, Cut::kNone, from);
  product(prefix + "kv_b_proj", Weight::kLatentKeyValue, 0, Cut::kKeyHeads, 0,
          {a_.heads * width, from})
      .unit = width;
  belong_to(TensorRow::Layers::kAttention, first);
  return *this;
}

}  // namespace actsweep
