// The architecture: what a forward pass needs to know of a model, as facts and never as a name.
//
// Read from a checkpoint's config.json by the reader of its family. Letters: L layers, C channels,
// H heads, D head width, F feed-forward width, V vocabulary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace actsweep {

enum class RopeScaling { kNone, kLinear, kLlama3 };

/// Rotary positions (arXiv 2104.09864) and how their frequencies are scaled.
struct Rope {
  double theta = 10000;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;  // kLinear, kLlama3
  double low_frequency =
      1;  // kLlama3: wavelengths above original_length / this are divided by factor
  double high_frequency = 4;   // kLlama3: wavelengths below original_length / this stay
  double original_length = 0;  // kLlama3: positions that the model was first trained on
};

struct Architecture {
  std::string family;  // model_type
  std::string name;    // of the checkpoint, for people
  int64_t layers = 0;
  int64_t channels = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_width = 0;
  int64_t ffn_width = 0;
  int64_t vocabulary = 0;
  int64_t max_positions = 0;  // what the model was trained on; 0 where unknown
  double norm_epsilon = 1e-6;
  bool has_qkv_bias = false;
  bool has_output_bias = false;  // of the attention output projection
  bool has_mlp_bias = false;
  bool ties_embeddings = false;
  Rope rope;
  std::vector<int64_t>
      window;  // [L] sliding window of each layer; 0: a query sees all keys before it
};

}  // namespace actsweep
