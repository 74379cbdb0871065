// Latent attention (arXiv 2405.04434): queries and keys/values by way of narrow latents with norms,
// one rotated key for all heads, values of a width of their own.
//
// In: a config.json whose missing keys have their defaults. Out: the facts of an Architecture, and
// the rows of its attention. Refuses (ErrorKind::kModel) as Config does, and grouped keys.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/config.h"
#include "checkpoint/rope_facts.h"
#include "checkpoint/tensor_rows.h"

namespace actsweep {

/// Sizes, RMSNorm, latents and rotary positions; `attention_bias`, `tie_word_embeddings`.
Architecture read_latent_facts(const Config& config, const RopeKeys& keys = {});

/// Embedding, norms, latent attention, the MLP of routed_experts.h, head; without the routers'
/// selection bias where `has_correction` is false.
std::vector<TensorRow> latent_rows(const Architecture& architecture, bool has_correction);

}  // namespace actsweep
