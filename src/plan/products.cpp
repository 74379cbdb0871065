#include "plan/products.h"

#include <algorithm>
#include <limits>

namespace actsweep {
namespace {

/// Whether rows are multiplied by the whole weight.
bool is_product(Weight weight) {
  switch (weight) {
    case Weight::kQkv:
    case Weight::kQueryDown:
    case Weight::kLatentQuery:
    case Weight::kKeyValueDown:
    case Weight::kLatentKeyValue:
    case Weight::kOutputGate:
    case Weight::kAttentionOutput:
    case Weight::kStateOutput:
    case Weight::kMixerIn:
    case Weight::kSelection:
    case Weight::kStepIn:
    case Weight::kGateUp:
    case Weight::kDown:
    case Weight::kRouter:
    case Weight::kExpertGateUp:
    case Weight::kExpertDown:
    case Weight::kSharedGate:
    case Weight::kLayerGate:
    case Weight::kLayerProjection:
      return true;
    default:
      return false;
  }
}

/// The product of one row of tensors; of experts, what one token has of all of the rank's.
LayerProduct product_of(const Architecture& a, const ModelShare& share, const TensorRow& row) {
  const auto shape = row.shape_of(units_of(share, row).size());
  LayerProduct product = {shape[1], shape[0], 1};
  if (row.cut == Cut::kExperts) {
    product.per_token =
        static_cast<double>(a.experts.chosen) / static_cast<double>(a.experts.count);
  }
  return product;
}

/// Keys that the query at the end of `before` others sees, summed over a window's queries.
double keys_of_window(int64_t length, int64_t window) {
  const auto all = static_cast<double>(length), seen = static_cast<double>(window);
  if (window <= 0 || window >= length) return all * (all + 1) / 2;
  return seen * (seen + 1) / 2 + (all - seen) * seen;
}

double state_operations(const Architecture& a, const ModelShare& share, MixerKind kind) {
  switch (kind) {
    case MixerKind::kDelta:
      return 6 * static_cast<double>(share.delta_heads.size() * a.delta.value_channels() *
                                     a.delta.key_width);
    case MixerKind::kStates:
      return 4 * static_cast<double>(share.state_heads.size() * a.states.head_width *
                                     a.states.state_width);
    case MixerKind::kSelective:
      return 6 * static_cast<double>(share.selective.size() * a.selective.state_width);
    case MixerKind::kConvolution:
      return 2 * static_cast<double>(a.convolution.taps * share.convolved.size());
    default:
      return 0;
  }
}

}  // namespace

std::vector<LayerProduct> layer_products(const Architecture& a, const std::vector<TensorRow>& rows,
                                         const ModelShare& share, int64_t layer) {
  std::vector<LayerProduct> products;
  for (const auto& row : rows) {
    if (!row.is_per_layer() || !row.is_in(a, layer)) continue;
    if (!is_product(row.weight)) continue;
    const auto product = product_of(a, share, row);
    if (product.in > 0 && product.out > 0) products.push_back(product);
  }
  return products;
}

double keys_seen(const Architecture& a, int64_t layer, int64_t length) {
  const int64_t window = a.window[layer];
  const int64_t run = a.chunk_of(layer) > 0 ? std::min(a.chunk_of(layer), length) : length;
  const auto rows = static_cast<double>(run);
  const double one_way = keys_of_window(run, window) / rows;
  return a.is_causal ? one_way : 2 * one_way - 1;
}

bool is_recurrent(MixerKind kind) {
  return kind != MixerKind::kAttention && kind != MixerKind::kNone;
}

double mixer_operations(const Architecture& a, const ModelShare& share, int64_t layer,
                        int64_t length) {
  const auto kind = a.mixer(layer);
  if (kind != MixerKind::kAttention) return state_operations(a, share, kind);
  const int64_t widths =
      a.has_other_heads(layer) ? 2 * a.other_heads.head_width : a.head_width + a.value_channels();
  return 2 * keys_seen(a, layer, length) * static_cast<double>(share.query_heads.size() * widths);
}

int64_t first_layer_of(const Job& job, const std::string& variant) {
  int64_t first = std::numeric_limits<int64_t>::max();
  for (const auto& one : job.interventions) {
    if (one.variant != variant) continue;
    const int64_t inside = one.site != Site::kResidual || one.is_weight ? 1 : 0;
    first = std::min(first, std::max<int64_t>(0, one.layer.value_or(0) - inside));
  }
  return first;
}

double streams_at(const Job& job, int64_t layer) {
  const auto variants = job.variants();
  return 1 +
         static_cast<double>(std::count_if(variants.begin(), variants.end(), [&](const auto& name) {
           return first_layer_of(job, name) <= layer;
         }));
}

TokenOperations token_operations(const SweepFacts& facts, const ModelShare& share) {
  const auto& a = facts.architecture;
  TokenOperations token;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    const double streams = streams_at(facts.job, layer);
    for (const auto& product : layer_products(a, facts.rows, share, layer)) {
      token.products += streams * product.operations();
    }
    const double mixer =
        streams * mixer_operations(a, share, layer, facts.job.corpus.sequence_length);
    (is_recurrent(a.mixer(layer)) ? token.recurrence : token.attention) += mixer;
    if (a.has_states_beside(layer)) {
      token.recurrence += streams * state_operations(a, share, MixerKind::kStates);
    }
  }
  if (facts.job.statistics.loss) {
    token.head = streams_at(facts.job, a.layers) * 2 *
                 static_cast<double>(a.embedding_width * share.vocabulary.size());
  }
  return token;
}

double image_operations(const SweepFacts& facts) {
  if (!facts.tower) return 0;
  const auto& a = facts.tower->architecture;
  const auto whole = share_of(a, 1, 0);
  double per_token = 0;
  for (int64_t layer = 0; layer < a.layers; ++layer) {
    for (const auto& product : layer_products(a, facts.tower->rows, whole, layer)) {
      per_token += product.operations();
    }
    per_token += mixer_operations(a, whole, layer, facts.tower->tokens_per_image);
  }
  return per_token * static_cast<double>(facts.tower->tokens_per_image);
}

double sweep_operations(const SweepFacts& facts) {
  const double images = facts.tower ? static_cast<double>(facts.tower->images) : 0;
  return images * image_operations(facts) +
         token_operations(facts, share_of(facts.architecture, 1, 0)).sum() *
             static_cast<double>(facts.tokens);
}

}  // namespace actsweep
