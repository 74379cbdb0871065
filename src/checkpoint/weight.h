// The weights of the forward pass: what each is, and what follows of it.
#pragma once

#include <optional>

namespace actsweep {

/// The weights of the forward pass. A fused weight consists of parts, in the order of their
/// numbers. Shapes are those of one rank.
enum class Weight {
  kAttentionNorm,  // [C]
  kAttentionNormBias,
  kQkv,        // [(Hq + 2 Hkv) D, C]: part 0 query, 1 key, 2 value
  kQkvBias,    // [(Hq + 2 Hkv) D]
  kQueryDown,  // [query latent, C], whole on every rank; so are its bias and norm
  kQueryDownBias,
  kQueryLatentNorm,
  kLatentQuery,   // [Hq D, query latent or C]
  kKeyValueDown,  // [key/value latent + rotated channels, C], whole on every rank; so are its
  kKeyValueDownBias,
  kKeyValueLatentNorm,  // [key/value latent]
  kLatentKeyValue,      // [Hkv (D - rotated + value width), key/value latent]: by head key, value
  kQueryNorm,           // [D], [Hq, D] or [Hq D]
  kQueryNormBias,
  kKeyNorm,
  kKeyNormBias,
  kValueNorm,        // [D]
  kSinks,            // [Hq] a logit per head that takes part in the softmax
  kExtraKey,         // [Hq, D] a key of each head that every query sees
  kExtraValue,       // [Hq, D]
  kOutputGate,       // [Hq D, C]: the heads' outputs are multiplied by its sigmoid
  kOutputGateBias,   // [Hq D]
  kAttentionOutput,  // [C, Hq D]; of the delta rule [C, its value heads' channels]
  kAttentionOutputBias,
  kStateOutput,  // [C, heads' channels] of a state space, which may stand beside attention
  kStateOutputBias,
  kAttentionPostNorm,  // [C] of the attention's output
  kAttentionScale,     // [C] the attention's output is multiplied by it (LayerScale)
  /// Of mixers other than attention. Parts of what is projected: of the delta rule, by key heads, 0
  /// query, 1 key, 2 value, 3 gate, 4 write strength, 5 step; of a short convolution, by channels,
  /// 0 the gate before it, 1 the gate behind it, 2 what passes them; of a state space 0 gate, 1
  /// heads, 2 what writes states, 3 what reads them, 4 step; of a selective one 0 channels, 1 gate.
  kMixerIn,  // [rows of all parts, C]
  kMixerInBias,
  kConvolution,  // [channels, 1, taps]: of the delta rule's parts 0 to 2, a state space's 1 to 3
  kConvolutionBias,
  kSelection,  // [step rank + 2 state widths, channels]: narrow rows of a selective state space
  kStepNorm,   // [step rank]; these norms are of parts of narrow rows
  kWriteNorm,  // [state width]
  kReadNorm,   // [state width]
  kStepIn,     // [channels, step rank]
  kDecay,  // [value heads] logarithms of rates; of a selective state space [channels, state width]
  kStepBias,   // [value heads]
  kSkip,       // [heads]: what of its own channels a head adds to what it reads
  kMixerNorm,  // [value width]; of a state space [heads' channels]
  kMlpNorm,    // [C]
  kMlpNormBias,
  kGateUp,      // [2 F, C]: part 0 gate, 1 up; [F, C] where the MLP has no gate
  kGateUpBias,  // [2 F]
  kDown,        // [C, F]
  kDownBias,
  kRouter,            // [E, C], whole on every rank
  kRouterBias,        // [E]
  kRouterCorrection,  // [E] elements, added to the scores by which experts are chosen
  kExpertGateUp,      // [experts * 2 F, C]: gate and up of each expert
  kExpertGateUpBias,  // [experts * 2 F]
  kExpertDown,        // [experts * C, F]
  kExpertDownBias,    // [experts * C]
  kSharedGate,        // [1, C]: the dense MLP beside experts is multiplied by its sigmoid
  kDensePostNorm,     // [C] of the dense MLP's output beside experts that are normed apart
  kRouterNorm,        // [C] of the router's input there
  kExpertNorm,        // [C] of the experts' input there
  kExpertPostNorm,    // [C] of their sum
  kExpertScale,       // [E] the weights of the chosen experts are multiplied by it
  kXielu,             // [4] learned numbers of the activation, beta and epsilon
  kMlpPostNorm,       // [C] of the MLP's output
  kMlpScale,          // [C] the MLP's output is multiplied by it
  /// What joins the residual stream behind the MLP where each layer has inputs [P] of its own.
  kLayerGate,            // [P, C]: the inputs are multiplied by its activation
  kLayerProjection,      // [C, P]
  kLayerProjectionNorm,  // [C] of what is projected
  kLayerScale,           // [1] the residual stream behind the layer is multiplied by it
  kFinalNorm,         // [C]
  kFinalNormBias,
  kHeadProjection,  // [embedding width, C]
  kHead,            // [V, embedding width]
  kHeadBias,        // [V]
  kProjectorNorm,   // [channels] of what is projected; a tower's head is its projector
  kProjectorNormBias,
  kProjectorIn,  // [C of the language model, channels]
  kProjectorInBias,
  kProjectorOut,  // [C of the language model, the same]
  kProjectorOutBias,
  kEmbedding,            // [V, embedding width], gathered from the map, never loaded; so are these
  kLayerTable,           // [at least V, L P]: each layer's inputs by token
  kLayerInput,           // [L P, C]: and of what is embedded
  kLayerInputNorm,       // [P] of the latter
  kPositions,            // [positions, C]
  kTokenTypes,           // [types, C], of which text has the first
  kEmbeddingProjection,  // [C, embedding width]
  kPatches,              // [C, 3, patch, patch]
  kPatchBias,            // [C]
  kClassToken,           // [C] elements: part 0 the first class token, 1 the second
  kRegisters,            // [registers, C] elements
  kSinkToken,            // [C] before the first token
  kEmbeddingNorm,        // [C] of the residual stream before the first layer
  kEmbeddingNormBias,
};
inline constexpr int kWeights = static_cast<int>(Weight::kEmbeddingNormBias) + 1;

/// Norms and sinks stay float32 whatever the dtype of the products.
bool stays_float32(Weight weight);
bool is_of_head(Weight weight);
/// True where the weight multiplies the channels of a row: norms and scales of branches.
bool is_factor(Weight weight);
/// The bias of a norm over the channels; empty for a norm of a branch's output, which has none.
std::optional<Weight> bias_of(Weight norm);

}  // namespace actsweep
