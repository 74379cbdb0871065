// Tensor rows: which tensor of a checkpoint, or which part of it, becomes which part of which
// weight, and along which axis ranks cut it.
//
// A family lists its rows once, as data. A row whose name holds "{}" exists once per layer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/architecture.h"
#include "checkpoint/weight.h"

namespace actsweep {

/// Which units of an axis a rank holds.
enum class Cut {
  kNone,
  kQueryHeads,
  kKeyHeads,
  kFeedForward,
  kOtherFeedForward,  // in layers with an MLP of another width
  kSharedFeedForward,
  kExperts,
  kVocabulary,
  kDeltaHeads,   // key heads of the delta rule, with the value heads that share them
  kConvolved,    // channels of a short convolution
  kStateHeads,   // of a state space
  kStateGroups,  // that these heads are of
  kSelective     // channels of a selective state space
};

/// Where unit u of a part stands among the units of the stored axis: u / per_group * group_stride +
/// u % per_group + first. As stored alone: {}.
struct UnitOrder {
  int64_t per_group = 1;
  int64_t group_stride = 1;
  int64_t first = 0;

  int64_t place(int64_t unit) const {
    return unit / per_group * group_stride + unit % per_group + first;
  }
};

struct TensorRow {
  std::string name;               // "model.layers.{}.mlp.up_proj.weight"
  std::string tied_to = {};       // the tensor to take where `name` is not stored
  std::string stacked_name = {};  // where experts are stacked; empty: the same
  Weight weight = Weight::kEmbedding;
  int part = 0;
  Cut cut = Cut::kNone;
  int cut_axis = 0;            // of the weight
  std::vector<int64_t> shape;  // in the checkpoint
  int64_t unit = 1;            // elements of the axis per unit of the cut: D for heads
  int64_t per_cut = 1;         // units of the axis for each unit of the cut
  UnitOrder order = {};
  bool is_transposed = false;  // the checkpoint holds the last two axes exchanged
  int64_t only_unit = -1;      // the row belongs to this one unit of the cut, and is read whole
  bool is_stacked = false;     // the checkpoint's first axis counts units; the row is one of them
  int64_t joined = 0;  // above 0: so many units, stacked one below the other without an axis
  std::optional<float> constant = {};  // no checkpoint holds it: the part has this everywhere
  bool may_be_exchanged = false;       // the checkpoint may hold the last two axes exchanged
  bool is_float32 = false;             // the weight stays float32 in this family
  enum class Layers {
    kAll,
    kDense,
    kExperts,
    kBehindFirst,
    kAttention,
    kDelta,
    kOwnHeads,    // heads of the model's sizes
    kOtherHeads,  // heads of others
    kRotated,
    kConvolution,
    kStates,
    kSelective,
    kMixer,
    kMlp,
    kOwnMlp,   // a dense MLP of the model's width
    kOtherMlp  // of another
  };
  Layers layers = Layers::kAll;
  bool is_of_keys = false;  // not in layers that take another layer's keys and values
  std::vector<int64_t> layer_numbers = {};  // of the layers in the name; empty: their own

  bool is_per_layer() const { return name.find("{}") != std::string::npos; }
  bool is_in(const Architecture& architecture, int64_t layer) const;
  /// The part of the weight as the row gives it whole, in the weight's own order of axes; with all
  /// units that the stored axis interleaves.
  std::vector<int64_t> whole_shape() const;
  /// The part of the weight that a rank reads which holds `units` units of the cut axis.
  std::vector<int64_t> shape_of(int64_t units) const;
  /// Units along the cut axis where it is read whole.
  int64_t all_units() const;
};

/// The name of a row's tensor in layer `layer` (0-based).
std::string tensor_name(const TensorRow& row, int64_t layer);

/// `name` with `number` in the place of `hole`.
std::string numbered(std::string name, const std::string& hole, int64_t number);

/// The same rows where the experts' tensors "….experts.{e}.…" are two: "….experts.gate_up_proj" of
/// [E, 2 F, C], or "….experts.up_proj" of [E, F, C] without gates, and "….experts.down_proj" of
/// [E, C, F], as transformers 5 keeps them.
std::vector<TensorRow> with_stacked_experts(const std::vector<TensorRow>& rows,
                                            const Architecture& architecture);

/// How a fused tensor holds query, key and value.
enum class FusedOrder {
  kParts,     // all queries, all keys, all values
  kKeyHeads,  // for each key/value head: its queries, its key, its value
  kQuarters,  // four times a quarter of the queries, of the values, of the keys
};

/// What a gated MLP calls its products.
struct GatedNames {
  std::string gate = "gate_proj";
  std::string up = "up_proj";
  std::string down = "down_proj";
};

/// Builds a family's rows from the names of its tensors; shapes follow from the architecture. A
/// name stands without ".weight" and ".bias".
class TensorRows {
 public:
  explicit TensorRows(const Architecture& architecture) : a_(architecture) {}

  /// Products are stored as [in, out] from here on, as GPT-2's Conv1D has them.
  TensorRows& stored_transposed();
  /// Rows from here on are in these layers; those of experts and dense MLPs know theirs.
  TensorRows& in_layers(TensorRow::Layers layers);
  TensorRows& embedding(const std::string& name);
  TensorRows& positions(const std::string& name);
  /// A norm over the channels, with a weight and a bias where the norms have them.
  TensorRows& norm(const std::string& name, Weight weight);
  /// One that every layer but the first has.
  TensorRows& norm_behind_first(const std::string& name, Weight weight);
  /// Where the architecture has an output gate, the query's tensor holds each head's query and
  /// gate.
  TensorRows& query_key_value(const std::string& prefix, const std::string& query,
                              const std::string& key, const std::string& value);
  /// q_proj, or q_a_proj, its norm and q_b_proj.
  TensorRows& latent_query(const std::string& prefix);
  /// kv_a_proj_with_mqa, its norm and kv_b_proj.
  TensorRows& latent_key_value(const std::string& prefix);
  TensorRows& fused_query_key_value(const std::string& name, FusedOrder order);
  /// Norms of queries and keys with one weight for all heads (`per_head` false) or one for each.
  TensorRows& query_key_norms(const std::string& query, const std::string& key, bool per_head,
                              bool has_bias);
  /// A norm of each query, key or value head, without a weight of its own.
  TensorRows& plain_head_norm(const std::string& name, Weight weight);
  TensorRows& sinks(const std::string& name);
  TensorRows& extra_key_value(const std::string& key, const std::string& value);
  TensorRows& attention_output(const std::string& name);
  /// The delta rule's projections: in two tensors, which go key head by key head; or in four.
  TensorRows& fused_delta_projections(const std::string& qkvz, const std::string& ba);
  TensorRows& delta_projections(const std::string& qkv, const std::string& z, const std::string& b,
                                const std::string& a);
  /// What else it has: the convolution, A_log, dt_bias, the gated norm, the output projection.
  TensorRows& delta_rule(const std::string& prefix);
  /// A short convolution: in_proj, conv and out_proj, with biases where it has them.
  TensorRows& short_convolution(const std::string& prefix);
  /// A state space: in_proj, conv1d, A_log, D, dt_bias, its norm where it has one, and out_proj.
  TensorRows& state_space(const std::string& prefix);
  /// A selective state space: in_proj, conv1d, x_proj, dt_proj, A_log, D and out_proj.
  TensorRows& selective_space(const std::string& prefix);
  /// Its norms: dt_layernorm, b_layernorm and c_layernorm, which are 1 everywhere without weights.
  TensorRows& selective_norms(const std::string& prefix, bool has_weights);
  /// A norm per head and tensor: "{h}" in the names is the head's number.
  TensorRows& query_key_norms_by_head(const std::string& query, const std::string& key);
  /// The three products of a gated MLP, by the last words of their names.
  TensorRows& gate_up_down(const std::string& prefix, const GatedNames& names = {});
  TensorRows& fused_gate_up_down(const std::string& gate_up, const std::string& down);
  TensorRows& up_down(const std::string& up, const std::string& down);
  /// Experts whose tensors stand alone: "{e}" in `prefix` is the expert's number.
  TensorRows& router(const std::string& name, bool has_bias);
  /// A router that stays float32.
  TensorRows& float32_router(const std::string& name);
  /// The selection bias of a router, the parameter `name` itself.
  TensorRows& router_correction(const std::string& name, std::vector<int64_t> shape);
  TensorRows& experts(const std::string& prefix, const std::string& gate, const std::string& up,
                      const std::string& down);
  /// The same without a gate.
  TensorRows& experts(const std::string& prefix, const std::string& up, const std::string& down);
  /// Where transformers 5 stacks experts, `now` for `once` in names; the first that fits counts.
  TensorRows& stacked_under(const std::string& once, const std::string& now);
  /// Experts in one tensor [E, C, 2 F] whose columns alternate between gate and up, and one
  /// [E, F, C]; biases `name`_bias.
  TensorRows& alternating_experts(const std::string& gate_up, const std::string& down);
  /// Experts in one tensor [E, 2 F, C] whose gates stand before its ups, and one [E, C, F]; or with
  /// the last two axes exchanged, as Qwen3-VL-MoE was published.
  TensorRows& stacked_experts(const std::string& gate_up, const std::string& down);
  /// The same, always with the last two axes exchanged: [E, C, 2 F] and [E, F, C].
  TensorRows& stacked_in_out_experts(const std::string& gate_up, const std::string& down);
  /// Experts in three tensors [E F, C]: w1, the gates; v1, the ups; w2, the downs as [in, out].
  TensorRows& joined_experts(const std::string& prefix);
  /// The dense MLP beside experts.
  TensorRows& shared_expert(const std::string& prefix);
  /// The same without a gate.
  TensorRows& ungated_shared_expert(const std::string& up, const std::string& down);
  /// That with a gate, and the gate that its output is multiplied by.
  TensorRows& shared_expert(const std::string& prefix, const std::string& gate);
  /// The same without a gate, its gate and up projections in one tensor.
  TensorRows& fused_shared_expert(const std::string& gate_up, const std::string& down);
  /// The unembedding; of a tied pair either stands for the other.
  TensorRows& head(const std::string& name);
  /// The parameter `name` itself, whole on every rank; a number has no axes.
  TensorRows& parameter(const std::string& name, Weight weight, std::vector<int64_t> shape,
                        int part = 0);
  /// The convolution that makes channels of patches.
  TensorRows& patches(const std::string& name);
  TensorRows& projections(const std::string& in, const std::string& out);
  /// Inputs of each layer: the table, the projection and its norm behind `model`, and behind `layer`
  /// the products through which they join the stream, and their norm.
  TensorRows& layer_inputs(const std::string& model, const std::string& layer);

  const std::vector<TensorRow>& list() const { return rows_; }

 private:
  struct HeadSizes {
    int64_t kv_heads;
    int64_t width;
    int64_t value_width;
  };
  /// Of the heads of the layers that rows are in from here on.
  HeadSizes heads() const;
  TensorRow& product(const std::string& name, Weight weight, int part, Cut cut, int cut_axis,
                     std::vector<int64_t> shape);
  TensorRow& vector(const std::string& name, Weight weight, int part, Cut cut, int64_t length);
  struct DeltaPart;
  void delta_product(const std::string& name, int part, int64_t stored, const DeltaPart& place);
  std::vector<DeltaPart> delta_channels() const;
  void output_gate(const std::string& query);
  void gated_mlp(const std::string& prefix, Cut cut, int64_t width, const GatedNames& names = {});
  void fused_gated_mlp(const std::string& gate_up, const std::string& down, Cut cut, int64_t width);
  void down(const std::string& name, Cut cut, int64_t width);
  void ungated_mlp(const std::string& up, const std::string& down, Cut cut, int64_t width);
  void expert_product(const std::string& name, Weight weight, int part, int64_t expert);
  /// One expert's row of a tensor that holds all of them.
  TensorRow& stacked(const std::string& name, Weight weight, int64_t expert,
                     std::vector<int64_t> shape);
  /// Rows from `first` on belong to the layers with experts, or to those without.
  void belong_to(TensorRow::Layers layers, size_t first);

  const Architecture& a_;
  std::vector<TensorRow> rows_;
  bool is_transposed_ = false;
  TensorRow::Layers layers_ = TensorRow::Layers::kAll;
};

}  // namespace actsweep
