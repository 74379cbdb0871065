// What the statistics of single parts of a model write: register tokens, down projections, experts.
#include <limits>

#include "schema/declare_statistics.h"

namespace actsweep {

using enum Axis;
using enum ElementType;

std::vector<Dataset> declare_register_moments() {
  return {
      {"registers/count",
       kInt64,
       {kLayer},
       "1",
       "images whose registers are all finite; models with registers alone",
       Merge::kSum},
      {"registers/sum",
       kFloat64,
       {kLayer, kRegister, kChannel},
       "1",
       "sum over images of a register's residual stream; models with registers alone",
       Merge::kSum},
      {"registers/sum_square",
       kFloat64,
       {kLayer, kRegister, kChannel},
       "1",
       "sum over images of its square; models with registers alone",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_super_weights() {
  return {
      {"super_weights/neuron",
       kInt64,
       {kLayer},
       "1",
       "neuron of the largest input of the down projection (-1: none)",
       Merge::kDerived},
      {"super_weights/input", kFloat32, {kLayer}, "1", "its largest magnitude", Merge::kDerived},
      {"super_weights/channel",
       kInt64,
       {kLayer},
       "1",
       "channel of the largest output of the MLP (-1: none)",
       Merge::kDerived},
      {"super_weights/output", kFloat32, {kLayer}, "1", "its largest magnitude", Merge::kDerived},
      {"super_weights/weight",
       kFloat32,
       {kLayer},
       "1",
       "the down projection's weight from that neuron to that channel (NaN: unknown after a merge "
       "of files that differ in the pair)",
       Merge::kDerived},
  };
}

std::vector<Dataset> declare_experts() {
  return {
      {"experts/token_count",
       kInt64,
       {kLayer, kExpert},
       "1",
       "tokens that chose the expert",
       Merge::kSum},
      {"experts/max_output",
       kFloat32,
       {kLayer, kExpert},
       "1",
       "largest magnitude of its output before its weight (0 where it has no tokens)",
       Merge::kMax},
      {"experts/gate_sum",
       kFloat64,
       {kLayer, kExpert},
       "1",
       "sum over its tokens of the router's weight",
       Merge::kSum},
      {"experts/output_norm_sum",
       kFloat64,
       {kLayer, kExpert},
       "1",
       "sum over its tokens of the Euclidean norm of its output before its weight",
       Merge::kSum},
      {"experts/weighted_norm_sum",
       kFloat64,
       {kLayer, kExpert},
       "1",
       "sum over its tokens of the norm of what it adds: its output times its weight",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_token_experts(PerToken per_token) {
  if (per_token == PerToken::kNone) return {};
  const std::vector<Axis> axes = {kLayer, token_axis(per_token), kExpertChoice};
  return {
      {"experts/token_experts", kUInt32, axes, "1",
       "experts that the token chose, the most probable first (4294967295: a layer without "
       "experts)",
       Merge::kRows},
      {"experts/token_gates", kFloat32, axes, "1",
       "the router's weights of them (NaN: a layer without experts)", Merge::kRows},
  };
}

std::vector<Dataset> declare_expert_inputs(bool has_ranges) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<Dataset> datasets;
  const auto declare_end = [&](const std::string& path, Axis channel, const std::string& meaning,
                               Merge merge) {
    Dataset dataset = {path, kFloat32, {kLayer, kExpert, channel}, "1", meaning, merge};
    dataset.neutral = merge == Merge::kMin ? kInfinity : -kInfinity;
    datasets.push_back(std::move(dataset));
  };
  const auto declare = [&](const std::string& part, Axis channel, const std::string& whose) {
    datasets.push_back({"experts/" + part + "_max_magnitude",
                        kFloat32,
                        {kLayer, kExpert, channel},
                        "1",
                        "largest magnitude over the expert's tokens of the input of " + whose,
                        Merge::kMax});
    datasets.push_back({"experts/" + part + "_sum",
                        kFloat64,
                        {kLayer, kExpert, channel},
                        "1",
                        "sum over the expert's tokens of the input of " + whose,
                        Merge::kSum});
    datasets.push_back({"experts/" + part + "_sum_square",
                        kFloat64,
                        {kLayer, kExpert, channel},
                        "1",
                        "sum over the expert's tokens of the square of the input of " + whose,
                        Merge::kSum});
    if (!has_ranges) return;
    declare_end("experts/" + part + "_min", channel,
                "smallest signed input of " + whose + " over the expert's tokens (inf: none)",
                Merge::kMin);
    declare_end("experts/" + part + "_max", channel,
                "largest signed input of " + whose + " over the expert's tokens (-inf: none)",
                Merge::kMax);
  };
  declare("input", kChannel, "its gate and up projections");
  declare("hidden", kExpertNeuron, "its down projection");
  return datasets;
}

}  // namespace actsweep
