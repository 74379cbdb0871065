// What the statistics of attention write: attention to sets of keys, value updates, queries and
// keys. Formulas: docs/statistics.md, section 3.
#include <limits>

#include "schema/declare_statistics.h"

namespace actsweep {

using enum Axis;
using enum ElementType;

namespace {

/// The axis of one value's channels.
Axis head_channel_of(ValueWidth values) {
  return values == ValueWidth::kOwn ? kHeadValue : kHeadChannel;
}

}  // namespace

std::vector<Dataset> declare_attention() {
  return {
      {"attention/mass_sum",
       kFloat64,
       {kLayer, kHead, kKeySet},
       "1",
       "sum over queries of the attention to the set: queries outside it that see all of it",
       Merge::kSum},
      {"attention/logit_sum",
       kFloat64,
       {kLayer, kHead, kKeySet},
       "1",
       "sum over the same queries of the mean score on the set's keys",
       Merge::kSum},
      {"attention/query_count", kInt64, {kLayer, kKeySet}, "1", "those queries", Merge::kSum},
      {"attention/key_count", kInt64, {kLayer, kKeySet}, "1", "keys of the set", Merge::kSum},
      {"attention/sequence_count",
       kInt64,
       {kLayer, kKeySet},
       "1",
       "sequences in which the set has keys",
       Merge::kSum},
      {"attention/set_value_norm_sum",
       kFloat64,
       {kLayer, kKeyHead, kKeySet},
       "1",
       "sum over the set's keys of the Euclidean norm of their value",
       Merge::kSum},
      {"attention/value_norm_sum",
       kFloat64,
       {kLayer, kKeyHead},
       "1",
       "sum over all tokens of the Euclidean norm of their value",
       Merge::kSum},
      {"attention/token_count", kInt64, {kLayer}, "1", "all tokens", Merge::kSum},
      {"attention/sink_sum",
       kFloat64,
       {kLayer, kHead},
       "1",
       "sum over sequences of the mean attention to position 0, its own row included",
       Merge::kSum},
      {"attention/sink_count",
       kInt64,
       {kLayer, kHead, kEpsilon},
       "1",
       "sequences whose mean attention to position 0 is above epsilon",
       Merge::kSum},
      {"attention/sink_sequences",
       kInt64,
       {kLayer},
       "1",
       "sequences of the sink metric",
       Merge::kSum},
      {"attention/sink_count_64",
       kInt64,
       {kLayer, kHead, kEpsilon},
       "1",
       "the same over the first 64 tokens of each window",
       Merge::kSum},
      {"attention/sink_sequences_64",
       kInt64,
       {kLayer},
       "1",
       "windows of 64 tokens or more",
       Merge::kSum},
      {"attention/entropy_sum",
       kFloat64,
       {kLayer, kHead},
       "1",
       "sum over rows that see n > 1 slots of the entropy over log n",
       Merge::kSum},
      {"attention/entropy_rows", kInt64, {kLayer}, "1", "those rows", Merge::kSum},
  };
}

std::vector<Dataset> declare_received_by_tokens(PerToken per_token) {
  if (per_token == PerToken::kNone) return {};
  const Axis token = token_axis(per_token);
  return {
      {"attention_received/token_mean",
       kFloat32,
       {kLayer, token},
       "1",
       "mean over heads, and over the other queries that see the token, of the attention to it "
       "(NaN: no query does)",
       Merge::kRows},
      {"attention_received/token_largest_head",
       kFloat32,
       {kLayer, token},
       "1",
       "the same mean over queries of the head where it is largest",
       Merge::kRows},
  };
}

std::vector<Dataset> declare_received_by_sequences() {
  return {
      {"attention_received/top_position",
       kUInt32,
       {kLayer, kSequence, kHead},
       "1",
       "position of the key in the window's first half that receives most on average over the "
       "other queries that see it (4294967295: none)",
       Merge::kRows},
      {"attention_received/top_mean",
       kFloat32,
       {kLayer, kSequence, kHead},
       "1",
       "what it receives",
       Merge::kRows},
  };
}

std::vector<Dataset> declare_scores() {
  Dataset largest = {"scores/largest",
                     kFloat32,
                     {kLayer, kHead},
                     "1",
                     "largest score of a query on a key that it sees: scaled, capped and biased as "
                     "the model does (-inf: a layer without attention)",
                     Merge::kMax};
  largest.neutral = -std::numeric_limits<double>::infinity();
  Dataset query = {"scores/query_position",
                   kInt64,
                   {kLayer, kHead},
                   "1",
                   "position in its window of the query that has it (-1: none)",
                   Merge::kOfMax};
  query.maximum = largest.path;
  query.neutral = -1;
  Dataset key = query;
  key.path = "scores/key_position";
  key.long_name = "position of the key";
  return {
      largest,
      query,
      key,
      {"scores/query_norm",
       kFloat32,
       {kLayer, kHead},
       "1",
       "largest Euclidean norm of a query",
       Merge::kMax},
      {"scores/key_norm",
       kFloat32,
       {kLayer, kKeyHead},
       "1",
       "largest Euclidean norm of a key",
       Merge::kMax},
      {"scores/value_norm",
       kFloat32,
       {kLayer, kKeyHead},
       "1",
       "largest Euclidean norm of a value",
       Merge::kMax},
  };
}

std::vector<Dataset> declare_value_updates(ValueWidth values) {
  return {
      {"value_update/query_count",
       kInt64,
       {kLayer, kSelection, kKeySet},
       "1",
       "queries: those of the window's second half that see a set whole",
       Merge::kSum},
      {"value_update/head_sum",
       kFloat64,
       {kLayer, kSelection, kKeySet, kHead, head_channel_of(values)},
       "1",
       "sum over queries of a head's value update: the set's values by their attention",
       Merge::kSum},
      {"value_update/head_square_sum",
       kFloat64,
       {kLayer, kSelection, kKeySet, kHead},
       "1",
       "sum over queries of the squared norm of a head's value update",
       Merge::kSum},
      {"value_update/sum",
       kFloat64,
       {kLayer, kSelection, kKeySet, kChannel},
       "1",
       "sum over queries of the value update after the output projection",
       Merge::kSum},
      {"value_update/square_sum",
       kFloat64,
       {kLayer, kSelection, kKeySet},
       "1",
       "sum over queries of its squared norm",
       Merge::kSum},
      {"value_update/share_sum",
       kFloat64,
       {kLayer, kSelection, kKeySet},
       "1",
       "sum over queries of its norm over that of the attention output",
       Merge::kSum},
  };
}

std::vector<Dataset> declare_query_key(ValueWidth values) {
  return {
      {"qk/query_square_sum",
       kFloat64,
       {kLayer, kHead, kHeadChannel},
       "1",
       "sum over tokens of the squared query before rotary",
       Merge::kSum},
      {"qk/rotated_query_square_sum",
       kFloat64,
       {kLayer, kHead, kHeadChannel},
       "1",
       "sum over tokens of the squared query after rotary",
       Merge::kSum},
      {"qk/key_square_sum",
       kFloat64,
       {kLayer, kKeyHead, kHeadChannel},
       "1",
       "sum over tokens of the squared key before rotary",
       Merge::kSum},
      {"qk/rotated_key_square_sum",
       kFloat64,
       {kLayer, kKeyHead, kHeadChannel},
       "1",
       "sum over tokens of the squared key after rotary",
       Merge::kSum},
      {"qk/value_square_sum",
       kFloat64,
       {kLayer, kKeyHead, head_channel_of(values)},
       "1",
       "sum over tokens of the squared value",
       Merge::kSum},
      {"qk/token_count", kInt64, {kLayer}, "1", "those tokens", Merge::kSum},
  };
}

}  // namespace actsweep
