// The language model of Llama 3.2 Vision: Llama 3.1 with layers between that attend to an image.
// Text without images passes those not, so they are no layers here, and the others keep the numbers
// that their tensors have. The embedding has eight rows more than the vocabulary, of the image
// token and of none.
#include <algorithm>

#include "checkpoint/decoder_facts.h"
#include "checkpoint/family.h"
#include "checkpoint/rope_facts.h"

namespace actsweep {
namespace {

constexpr int64_t kMoreEmbeddings = 8;
const char* const kCrossed = "cross_attention_layers";

ConfigKeys mllama_keys() {
  return llama_keys().but(
      {{"vocab_size", "int", 128256},
       {"num_hidden_layers", "int", 40},
       {"num_key_value_heads", "int", 8},
       {"intermediate_size", "int", 14336},
       {"max_position_embeddings", "int", 131072},
       {"rms_norm_eps", "float", 1e-5},
       {"cross_attention_layers", "list[int]|None", nullptr},
       {"dropout", "float|int", 0.0},
       {"bos_token_id", "int", 128000},
       {"eos_token_id", "int|list[int]|None", 128001},
       {"pad_token_id", "int|None", 128004}},
      {"pretraining_tp", "attention_bias", "attention_dropout", "mlp_bias", "head_dim"});
}

/// Numbers of the layers that attend to images.
std::vector<int64_t> crossed_layers(const Config& config) {
  if (!config.has(kCrossed)) return {3, 8, 13, 18, 23, 28, 33, 38};
  return config.values().at(kCrossed).get<std::vector<int64_t>>();
}

/// The other layers are the model's.
void leave_out_crossed(const Config& config, Architecture& facts) {
  const auto crossed = crossed_layers(config);
  for (int64_t number = 0; number < facts.layers; ++number) {
    const bool is_crossed = std::ranges::find(crossed, number) != crossed.end();
    (is_crossed ? facts.image_layers : facts.layer_numbers).push_back(number);
  }
  facts.layers = static_cast<int64_t>(facts.layer_numbers.size());
  if (facts.layers == 0) config.refuse(kCrossed, "a list without some of the layers");
  facts.window.resize(facts.layers);
}

Architecture read_mllama(const Config& config) {
  Architecture facts = read_llama_shape(config);
  check_head_width(config, facts);
  leave_out_crossed(config, facts);
  RopeKeys rope;
  rope.theta = 5e5;
  read_rope(config, facts, rope);
  facts.ties_embeddings = false;  // transformers ties no head of this type
  return facts;
}

std::vector<TensorRow> mllama_rows(const Architecture& a) {
  auto rows = llama_rows(a);
  for (auto& row : rows) {
    if (row.is_per_layer()) row.layer_numbers = a.layer_numbers;
    if (row.weight == Weight::kEmbedding) row.shape[0] += kMoreEmbeddings;
  }
  return rows;
}

}  // namespace

Family mllama_text_model_family() {
  return {"mllama_text_model", read_mllama, mllama_rows, {}, "model.", "", mllama_keys()};
}

}  // namespace actsweep
