// The architecture: what a forward pass needs to know of a model, as facts and never as a name.
//
// Read from a checkpoint's config.json by the reader of its family. Letters: L layers, C channels,
// H heads, D head width, F feed-forward width, E experts, V vocabulary,
// P width of a layer's own inputs.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/activation.h"
#include "checkpoint/mixer_facts.h"

namespace actsweep {

enum class NormKind { kRms, kLayer };

/// Norms over the channels: RMSNorm (arXiv 1910.07467) or LayerNorm (arXiv 1607.06450). Which norms
/// a layer has, before and after its branches, is a matter of its tensor rows.
struct NormFacts {
  NormKind kind = NormKind::kRms;
  double epsilon = 1e-6;
  double weight_offset = 0;        // Gemma stores weights less 1
  bool is_after_addition = false;  // the layer's norms apply to the residual stream itself
  bool has_bias = false;
  bool has_weight = true;  // else it is 1 everywhere, and no tensor
};

/// Norms of queries and keys before rotation.
enum class QueryKeyNorm {
  kNone,
  kEachHead,  // each head by itself; one weight for all heads or one for each
  kAllHeads,  // over the channels of all heads
};

/// Queries that grow: by 1 + rate log(1 + floor((position + first) / length)).
struct QueryGrowth {
  double rate = 0;
  double length = 1;
  int64_t first = 0;             // 1 where positions are counted from there
  bool is_of_unrotated = false;  // in layers without rotary positions; else in those with them
};

enum class RopeScaling { kNone, kLinear, kLlama3, kDynamic, kYarn, kLongRope, kProportional };

/// Rotary positions (arXiv 2104.09864) and how their frequencies are scaled.
struct Rope {
  int64_t width = 0;            // channels of a head that are rotated, its first ones
  bool is_interleaved = false;  // channel 2i pairs with 2i + 1; else i with i + width / 2
  bool is_of_patches = false;   // half of the pairs rotate by a patch's row, half by its column,
                                // each from -1 to 1 across the image; other tokens do not rotate
  double theta = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;            // all but kNone and kLongRope
  int64_t turned_pairs = 0;     // kProportional: the first pairs; those behind them stay
  double low_frequency = 1;     // kLlama3: wavelengths above original_length / this are divided
  double high_frequency = 4;    // kLlama3: wavelengths below original_length / this stay
  double original_length = 0;   // positions that the model was first trained on
  double beta_fast = 32;        // kYarn (arXiv 2309.00071): rotations above which frequencies stay
  double beta_slow = 1;         // kYarn: rotations below which they are divided
  bool rounds_range = true;     // kYarn: the range between them ends at whole pairs
  double attention_factor = 1;  // kYarn, kLongRope: multiplies cosines and sines
  double long_attention_factor = 1;         // kLongRope: the same above original_length
  std::vector<double> short_divisors = {};  // [width/2] kLongRope: up to original_length positions
  std::vector<double> long_divisors = {};   // [width/2] kLongRope: above

  /// Whether the frequencies follow from the length of the sequence.
  bool follows_length() const {
    return scaling == RopeScaling::kDynamic || scaling == RopeScaling::kLongRope;
  }
};

/// Heads of other sizes than the model's, which some of its layers have.
struct OtherHeads {
  int64_t kv_heads = 0;
  int64_t head_width = 0;
  bool has_key_as_value = false;  // what is projected is key and value at once
  std::vector<bool> layers = {};  // [L] whether a layer has them; empty: none has
};

/// A dense MLP of another width than the model's, which some of its layers have.
struct OtherMlp {
  int64_t width = 0;
  std::vector<bool> layers = {};  // [L] whether a layer has it; empty: none has
};

/// Inputs that each layer has of its own, by token.
struct LayerInputFacts {
  int64_t width = 0;  // P; 0: the model has none
  int64_t rows = 0;   // of their table, at least V
};

/// Attention with linear biases (arXiv 2108.12409), as the families round and scale them.
enum class Alibi { kNone, kPlain, kFalcon };

/// What a router makes of its logits.
enum class RouterScore {
  kSoftmax,
  kSigmoid,
  kSparseMixer,  // for each choice anew, the softmax over the experts that are close to the best
};

/// What a group of experts counts for where the router chooses groups first.
enum class GroupScore {
  kBestTwo,  // the sum of its two best scores
  kBest,
};

/// How experts are chosen. A selection bias (a tensor) counts in the choice alone.
struct RouterFacts {
  RouterScore score = RouterScore::kSoftmax;
  int64_t groups = 1;         // of neighbouring experts, of one size
  int64_t chosen_groups = 1;  // experts of the others are left out
  GroupScore group_score = GroupScore::kBestTwo;
  double band = 0;       // kSparseMixer: what close is, of the larger of best and own magnitude
  double epsilon = 0;    // added to the sum by which the chosen scores are divided
  double least_sum = 0;  // the sum is taken for no less
  double scale = 1;      // of the weights
  bool chooses_by_logits = false;  // else by scores
  bool is_float32 = false;         // logits are of float32 rows, whatever the dtype
  double logit_scale = 1;
};

/// Routed experts in place of, or beside, the dense MLP.
struct ExpertFacts {
  int64_t count = 0;  // E; 0: the model has none
  int64_t chosen = 0;
  int64_t ffn_width = 0;
  bool renormalises = false;      // the chosen probabilities are divided by their sum
  int64_t shared_width = 0;       // of the dense MLP beside them; 0: none
  bool scales_input = false;      // the weight multiplies what an expert reads, not what it gives
  bool are_normed_apart = false;  // they and the dense MLP read the stream and are added each by
                                  // norms of its own
  double clamp = 0;  // above 0: gpt-oss's gate, min(g, clamp) sigmoid(alpha g) (clamp(u) + 1)
  double gate_alpha = 1.702;
  RouterFacts router = {};
  std::vector<bool> layers = {};  // [L] whether a layer has them; dense where not
};

/// What is added to a patch for its place in the image.
enum class PatchPositions {
  kNone,
  kLearned,  // a row of a table, interpolated to another grid
  kFixed,    // a row of a table; there is no other grid
  kWaves     // sines and cosines of column and row (AIMv2, arXiv 2411.14402)
};

/// Queries, keys and values by way of narrow latents (arXiv 2405.04434).
struct LatentFacts {
  int64_t key_value = 0;  // channels of the latent of keys and values; 0: the model has none
  int64_t query = 0;      // of the latent of queries; 0: queries are projected at once
  int64_t rotated = 0;    // channels of a head that are rotated, its last; the key's are all heads'
  bool has_bias = false;  // of the products that make latents
  double epsilon = 1e-6;  // of their norms
};

/// How a Vision Transformer makes tokens of an image.
struct ImageFacts {
  int64_t patch = 0;  // height and width of a patch in pixels; 0: the model reads text
  int64_t rows = 0;   // of the grid of patches that learned positions were made for
  int64_t columns = 0;
  PatchPositions positions = PatchPositions::kLearned;
  bool norms_patches = false;  // the norm before the first layer comes before positions
  int64_t class_tokens = 1;    // before the registers; DeiT's second one distils a teacher
  int64_t registers = 0;
  bool has_patch_bias = true;
  bool antialiases = false;  // where positions are interpolated to another grid
};

struct Architecture {
  std::string family;  // model_type
  std::string name;    // of the checkpoint, for people
  int64_t layers = 0;
  std::vector<int64_t> layer_numbers = {};  // [L] in the names of their tensors; empty: their own
  std::vector<int64_t> image_layers = {};   // the numbers between, of layers that text passes not
  int64_t channels = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_width = 0;
  int64_t value_width = 0;  // of a head; 0: as wide as queries and keys
  OtherHeads other_heads;
  std::vector<int64_t> keys_of_layer = {};  // [L] whose keys and values a layer takes; empty: each
                                            // its own
  LatentFacts latent;
  int64_t ffn_width = 0;
  OtherMlp other_mlp;
  LayerInputFacts layer_inputs;
  int64_t vocabulary = 0;
  int64_t max_positions = 0;    // what the model was trained on; 0 where unknown
  int64_t embedding_width = 0;  // C, but where embeddings are projected to C

  NormFacts norm;
  bool is_parallel = false;  // attention and MLP read the same residual stream, and both are added
  bool has_final_norm = true;  // behind the layers, where their families have one
  bool has_mlp_norm = true;  // a norm of the MLP's own before it; else a parallel block shares one
  bool ties_embeddings = false;
  double embedding_scale = 1;
  double mixer_scale = 1;  // what a layer's mixer adds is multiplied by it
  double mlp_scale = 1;    // and what its MLP adds

  std::vector<MixerKind> mixer_of_layer = {};  // [L]; empty: attention in all of them
  std::vector<bool> states_beside = {};        // [L] whether a state space reads what the layer's
                                               // attention reads, and adds to it; empty: in none
  DeltaFacts delta;                            // of the layers of that kind; so are the next three
  ConvolutionFacts convolution;
  StateFacts states;
  SelectiveFacts selective;
  std::vector<bool> mlp_layers = {};  // [L] whether a layer has an MLP or experts; empty: all have
  int64_t position_rows = 0;          // of learned positions; 0: none
  int64_t position_offset = 0;        // of the row for position 0
  int64_t token_types = 0;  // rows of learned vectors of segments, of which text has the first
  std::vector<Rope> ropes;
  std::vector<int> rope_of_layer;  // [L] index into ropes; -1: none
  Alibi alibi = Alibi::kNone;

  bool has_qkv_bias = false;
  std::array<bool, 3> qkv_bias_parts = {true, true, true};  // of query, key, value; the rest is 0
  bool has_output_bias = false;                             // of the attention output projection
  bool has_output_gate = false;      // heads' outputs are multiplied by a gate's sigmoid
  double attention_input_scale = 1;  // of what queries, keys and values are projected from
  double key_scale = 1;
  double attention_scale = 0;  // of scores; 0: 1 / sqrt(D)
  bool divides_scale_by_layer = false;
  bool has_extra_key = false;   // each head has one more key and value, which every query sees
  bool has_sink_token = false;  // a learned vector without a position begins each sequence
  double score_cap = 0;         // above 0: scores become cap * tanh(score / cap)
  double qkv_clip = 0;          // above 0: query, key and value are clamped to +-clip
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  NormKind query_key_norm_kind = NormKind::kRms;
  bool normalises_rotated = false;  // these norms stand behind the rotation
  std::vector<int64_t> window;      // [L] sliding window; 0: none
  std::vector<int64_t> chunk = {};  // [L] attention within runs of so many positions; 0: within
                                    // all; empty: within all in every layer
  QueryGrowth query_growth;

  Activation activation = Activation::kSilu;
  bool has_xielu = false;  // in place of the activation: xIELU, by numbers of each layer's own
  bool is_gated = true;    // activation(gate) * up, else activation(up)
  double gate_scale = 1;   // before the activation
  bool has_mlp_bias = false;
  ExpertFacts experts;

  bool has_head_bias = false;
  double logit_scale = 1;
  double logit_cap = 0;  // above 0: logits become cap * tanh(logit / cap)

  ImageFacts image;
  bool is_causal = true;  // a query sees no key behind it; else a window reaches both ways
  /// Layers behind the last that a checkpoint may hold for the tokens after the next: no forward
  /// pass needs them.
  int64_t prediction_layers = 0;
  int64_t mask_id = -1;  // of the token that stands for one to be predicted; -1: there is none

  bool reads_images() const { return image.patch > 0; }
  /// Whether no mask hides the padding of shorter sequences, which images have none of.
  bool leaves_padding_open() const { return !is_causal && !reads_images(); }
  /// Neurons of the dense MLP, the widest one where it is not the same in all layers.
  int64_t dense_width() const {
    const int64_t shared = experts.count > 0 ? experts.shared_width : 0;
    return has_dense_mlp() ? std::max({ffn_width, other_mlp.width, shared}) : shared;
  }
  /// In any layer, without experts.
  bool has_dense_mlp() const {
    bool is_there = false;
    for (int64_t layer = 0; layer < layers; ++layer) {
      is_there |= has_mlp(layer) && !has_experts(layer);
    }
    return is_there;
  }
  int64_t value_channels() const { return value_width > 0 ? value_width : head_width; }
  bool has_value_width() const { return value_channels() != head_width; }
  int64_t widest_head() const { return std::max(head_width, value_width); }
  bool has_other_heads() const { return !other_heads.layers.empty(); }
  bool has_other_heads(int64_t layer) const {
    return has_other_heads() && other_heads.layers[layer];
  }
  bool has_own_keys(int64_t layer) const {
    return keys_of_layer.empty() || keys_of_layer[layer] == layer;
  }
  bool has_other_mlp(int64_t layer) const {
    return !other_mlp.layers.empty() && other_mlp.layers[layer];
  }
  /// The model as its layers with other heads see it.
  Architecture with_other_heads() const {
    Architecture other = *this;
    other.kv_heads = other_heads.kv_heads;
    other.head_width = other_heads.head_width;
    return other;
  }
  MixerKind mixer(int64_t layer) const {
    return mixer_of_layer.empty() ? MixerKind::kAttention : mixer_of_layer[layer];
  }
  bool has_attention(int64_t layer) const { return mixer(layer) == MixerKind::kAttention; }
  bool has_states_beside(int64_t layer) const {
    return !states_beside.empty() && states_beside[layer];
  }
  bool has_states(int64_t layer) const {
    return mixer(layer) == MixerKind::kStates || has_states_beside(layer);
  }
  bool has_mixer(int64_t layer) const { return mixer(layer) != MixerKind::kNone; }
  bool has_mlp(int64_t layer) const { return mlp_layers.empty() || mlp_layers[layer]; }
  /// In any layer.
  bool has_attention() const {
    bool is_there = false;
    for (int64_t layer = 0; layer < layers; ++layer) is_there |= has_attention(layer);
    return is_there;
  }
  int64_t chunk_of(int64_t layer) const { return chunk.empty() ? 0 : chunk[layer]; }
  bool has_experts(int64_t layer) const { return experts.count > 0 && experts.layers[layer]; }
};

}  // namespace actsweep
