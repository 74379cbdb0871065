// What a rank loads against slices of the stored tensors, cut here by hand.
#include "weights/stage.h"

#include <gtest/gtest.h>

#include "checkpoint/tiny_checkpoint.h"
#include "weights/share.h"

namespace actsweep {
namespace {

using nlohmann::json;

constexpr int64_t kMostParts = 3;

/// Five heads of 4, query, key and value head by head, biases, seven neurons.
const json kNeox = {{"model_type", "gpt_neox"}, {"hidden_size", 20},      {"num_hidden_layers", 2},
                    {"num_attention_heads", 5}, {"intermediate_size", 7}, {"vocab_size", 11},
                    {"rotary_pct", 0.5}};

/// Ten heads of 2, five to each of two key/value heads; with each key/value head its own queries.
const json kFalcon = {{"model_type", "falcon"}, {"hidden_size", 20},
                      {"num_hidden_layers", 2}, {"num_attention_heads", 10},
                      {"num_kv_heads", 2},      {"new_decoder_architecture", true},
                      {"ffn_hidden_size", 7},   {"vocab_size", 11}};

/// Four heads of 4 over two key/value heads, five experts of 3 neurons, a window of 8.
const json kGptOss = {
    {"model_type", "gpt_oss"},  {"hidden_size", 10},        {"num_hidden_layers", 2},
    {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"head_dim", 4},
    {"intermediate_size", 3},   {"vocab_size", 11},         {"num_local_experts", 5},
    {"num_experts_per_tok", 2}, {"sliding_window", 8}};

const json kGpt2 = {{"model_type", "gpt2"}, {"n_layer", 2},     {"n_embd", 12}, {"n_head", 3},
                    {"n_positions", 16},    {"vocab_size", 11}, {"n_inner", 7}};

/// Five heads of 4; biases of query and value alone.
const json kDinov3 = {{"model_type", "dinov3_vit"},
                      {"hidden_size", 20},
                      {"num_hidden_layers", 2},
                      {"num_attention_heads", 5},
                      {"intermediate_size", 7},
                      {"patch_size", 2},
                      {"image_size", 4},
                      {"num_register_tokens", 3}};

/// All weights of a layer, or of the head, that a rank holds, loaded.
struct Loaded {
  StageLayout layout;
  at::Tensor buffer;
  StageWeights weights;

  Loaded(const Checkpoint& checkpoint, int64_t parts, int64_t part, int64_t layer,
         Dtype dtype = Dtype::kFloat32)
      : layout(whole_layer(checkpoint, share_of(checkpoint.architecture(), parts, part), dtype,
                           layer)),
        buffer(at::full({layout.bytes()}, 0xFF, at::kByte)),
        weights(layout, buffer) {
    load_stage(checkpoint, layout, layer, buffer);
  }

  static StageLayout whole_layer(const Checkpoint& checkpoint, const ModelShare& share, Dtype dtype,
                                 int64_t layer) {
    return {checkpoint.rows(), checkpoint.architecture(), share, dtype, {layer, share.experts}};
  }

  void expect(Weight weight, const at::Tensor& wanted, const char* name) const {
    ASSERT_TRUE(weights.has(weight)) << name;
    const auto& found = weights[weight];
    ASSERT_EQ(found.sizes(), wanted.sizes()) << name;
    EXPECT_TRUE(at::equal(found, wanted)) << name;
  }
};

/// Every rank of groups of 1 to 3 and both layers: begin and end of a share of `total` units.
template <typename Check>
void for_each_rank(Check&& check) {
  for (int64_t parts = 1; parts <= kMostParts; ++parts) {
    for (int64_t part = 0; part < parts; ++part) {
      for (int64_t layer = 0; layer < 2; ++layer) {
        SCOPED_TRACE(fmt::format("rank {} of {}, layer {}", part, parts, layer));
        check(parts, part, layer);
      }
    }
  }
}

at::Tensor cut(const at::Tensor& all, int64_t axis, int64_t parts, int64_t part) {
  const int64_t total = all.size(axis);
  return all.slice(axis, total * part / parts, total * (part + 1) / parts);
}

TEST(LoadStage, TakesHeadsOutOfATensorThatIsFusedHeadByHead) {
  const TinyCheckpoint tiny(kNeox);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer);
    const auto prefix = fmt::format("gpt_neox.layers.{}.", layer);
    const auto heads = [&](const char* name) {  // [heads, 3, D, ...] -> [3, heads of the rank, ...]
      const auto stored = tiny[prefix + name];
      auto shape = stored.sizes().vec();
      shape.erase(shape.begin());
      shape.insert(shape.begin(), {5, 3, 4});
      return cut(stored.view(shape), 0, parts, part).transpose(0, 1).flatten(0, 2);
    };
    loaded.expect(Weight::kQkv, heads("attention.query_key_value.weight"), "qkv");
    loaded.expect(Weight::kQkvBias, heads("attention.query_key_value.bias"), "qkv bias");
    const auto output = tiny[prefix + "attention.dense.weight"].view({20, 5, 4});
    loaded.expect(Weight::kAttentionOutput, cut(output, 1, parts, part).flatten(1), "output");
    loaded.expect(Weight::kAttentionOutputBias, tiny[prefix + "attention.dense.bias"], "o bias");
    loaded.expect(Weight::kAttentionNorm, tiny[prefix + "input_layernorm.weight"], "norm");
    loaded.expect(Weight::kMlpNormBias, tiny[prefix + "post_attention_layernorm.bias"], "norm");
  });
}

TEST(LoadStage, LeavesZerosForABiasThatKeysDoNotHave) {
  const TinyCheckpoint tiny(kDinov3);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer);
    const auto prefix = fmt::format("model.layer.{}.attention.", layer);
    const auto bias = [&](const char* name) {
      return cut(tiny[prefix + name].view({5, 4}), 0, parts, part).flatten();
    };
    const auto query = bias("q_proj.bias");
    loaded.expect(Weight::kQkvBias, at::cat({query, at::zeros_like(query), bias("v_proj.bias")}),
                  "qkv bias");
  });
}

TEST(LoadStage, TakesQueriesOutOfTheGroupsOfTheirKeyHeads) {
  const TinyCheckpoint tiny(kFalcon);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer);
    const auto name = fmt::format("transformer.h.{}.self_attention.query_key_value.weight", layer);
    const auto groups = tiny[name].view({2, 7, 2, 20});  // [key heads, queries, key, value, D, C]
    const auto queries = cut(groups.slice(1, 0, 5).reshape({10, 2, 20}), 0, parts, part);
    const int64_t first = 10 * part / parts / 5, end = (10 * (part + 1) / parts - 1) / 5 + 1;
    const auto keys = groups.slice(0, first, end);
    loaded.expect(Weight::kQkv,
                  at::cat({queries.flatten(0, 1), keys.select(1, 5).flatten(0, 1),
                           keys.select(1, 6).flatten(0, 1)}),
                  "qkv");
  });
}

TEST(LoadStage, CutsNeuronsByRowsUpAndByColumnsDown) {
  const TinyCheckpoint tiny(kNeox);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer);
    const auto mlp = fmt::format("gpt_neox.layers.{}.mlp.", layer);
    const auto up = tiny[mlp + "dense_h_to_4h.weight"], bias = tiny[mlp + "dense_h_to_4h.bias"];
    loaded.expect(Weight::kGateUp, cut(up, 0, parts, part), "up");
    loaded.expect(Weight::kGateUpBias, cut(bias, 0, parts, part), "up bias");
    loaded.expect(Weight::kDown, cut(tiny[mlp + "dense_4h_to_h.weight"], 1, parts, part), "down");
    loaded.expect(Weight::kDownBias, tiny[mlp + "dense_4h_to_h.bias"], "down bias");
  });
}

TEST(LoadStage, TurnsTransposedProducts) {
  const TinyCheckpoint tiny(kGpt2);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer);
    const auto prefix = fmt::format("transformer.h.{}.", layer);
    // [C, 3, heads, D]: here all ranks have a head of their own or more.
    const auto qkv = cut(tiny[prefix + "attn.c_attn.weight"].view({12, 3, 3, 4}), 2, parts, part);
    loaded.expect(Weight::kQkv, qkv.flatten(1).t(), "qkv");
    const auto output = tiny[prefix + "attn.c_proj.weight"].t().view({12, 3, 4});
    loaded.expect(Weight::kAttentionOutput, cut(output, 1, parts, part).flatten(1), "output");
    loaded.expect(Weight::kGateUp, cut(tiny[prefix + "mlp.c_fc.weight"].t(), 0, parts, part), "up");
    loaded.expect(Weight::kDown, cut(tiny[prefix + "mlp.c_proj.weight"].t(), 1, parts, part),
                  "down");
  });
}

TEST(LoadStage, UnpicksAlternatingStackedExperts) {
  const TinyCheckpoint tiny(kGptOss);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer);
    const auto mlp = fmt::format("model.layers.{}.mlp.", layer);
    const auto gates_then_ups = [](const at::Tensor& all) {  // along the last axis
      return at::cat({all.slice(-1, 0, all.size(-1), 2), all.slice(-1, 1, all.size(-1), 2)}, -1);
    };
    const auto mine = [&](const char* name) { return cut(tiny[mlp + name], 0, parts, part); };
    loaded.expect(Weight::kExpertGateUp,
                  gates_then_ups(mine("experts.gate_up_proj")).transpose(1, 2).flatten(0, 1), "up");
    loaded.expect(Weight::kExpertGateUpBias,
                  gates_then_ups(mine("experts.gate_up_proj_bias")).flatten(), "up bias");
    loaded.expect(Weight::kExpertDown, mine("experts.down_proj").transpose(1, 2).flatten(0, 1),
                  "down");
    loaded.expect(Weight::kExpertDownBias, mine("experts.down_proj_bias").flatten(), "down bias");
    loaded.expect(Weight::kRouter, tiny[mlp + "router.weight"], "router");
    loaded.expect(Weight::kRouterBias, tiny[mlp + "router.bias"], "router bias");
  });
}

TEST(LoadStage, GivesEachQueryHeadItsKeyHeadAndItsSink) {
  const TinyCheckpoint tiny(kGptOss);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer);
    const auto attention = fmt::format("model.layers.{}.self_attn.", layer);
    const auto first_key = 4 * part / parts / 2, end_key = (4 * (part + 1) / parts - 1) / 2 + 1;
    const auto rows = [&](const std::string& suffix) {
      const auto keys = [&](const char* name) {
        return tiny[attention + name + suffix].slice(0, 4 * first_key, 4 * end_key);
      };
      const auto queries = tiny[attention + "q_proj" + suffix].unflatten(0, {4, 4});
      return at::cat({cut(queries, 0, parts, part).flatten(0, 1), keys("k_proj"), keys("v_proj")});
    };
    loaded.expect(Weight::kQkv, rows(".weight"), "qkv");
    loaded.expect(Weight::kQkvBias, rows(".bias"), "qkv bias");
    loaded.expect(Weight::kSinks, cut(tiny[attention + "sinks"], 0, parts, part), "sinks");
  });
}

TEST(LoadStage, OfTheHeadCutsTheVocabularyOfTheEmbeddingWhereTheyAreTied) {
  for (const bool is_tied : {false, true}) {
    auto config = kNeox;
    config["tie_word_embeddings"] = is_tied;
    const TinyCheckpoint tiny(config);
    const Checkpoint checkpoint(tiny.path());
    const auto& head = tiny[is_tied ? "gpt_neox.embed_in.weight" : "embed_out.weight"];
    for_each_rank([&](int64_t parts, int64_t part, int64_t) {
      const Loaded loaded(checkpoint, parts, part, 2);
      loaded.expect(Weight::kHead, cut(head, 0, parts, part), "head");
      loaded.expect(Weight::kFinalNorm, tiny["gpt_neox.final_layer_norm.weight"], "norm");
      EXPECT_FALSE(loaded.weights.has(Weight::kQkv));
    });
  }
}

TEST(LoadStage, ReadsACheckpointOfTheBareModelAlike) {
  const TinyCheckpoint whole(kGpt2), bare(kGpt2, "transformer.");
  const Checkpoint checkpoint(bare.path());
  const Loaded loaded(checkpoint, 2, 1, 1);
  const auto up = whole["transformer.h.1.mlp.c_fc.weight"];
  ASSERT_TRUE(at::equal(up, bare["h.1.mlp.c_fc.weight"])) << "the test's own tensors";
  loaded.expect(Weight::kGateUp, cut(up.t(), 0, 2, 1), "up");
}

TEST(LoadStage, RoundsProductsAndLeavesNormsAndSinksInFloat32) {
  const TinyCheckpoint tiny(kGptOss);
  const Checkpoint checkpoint(tiny.path());
  const Loaded loaded(checkpoint, 1, 0, 0, Dtype::kBFloat16);
  loaded.expect(Weight::kRouter, tiny["model.layers.0.mlp.router.weight"].to(at::kBFloat16), "r");
  loaded.expect(Weight::kSinks, tiny["model.layers.0.self_attn.sinks"], "sinks");
  loaded.expect(Weight::kAttentionNorm, tiny["model.layers.0.input_layernorm.weight"], "norm");
}

TEST(StageLayout, PlacesWeightsApartAtMultiplesOf64Bytes) {
  const TinyCheckpoint tiny(kGptOss);
  const Checkpoint checkpoint(tiny.path());
  for_each_rank([&](int64_t parts, int64_t part, int64_t layer) {
    const Loaded loaded(checkpoint, parts, part, layer, Dtype::kBFloat16);
    std::map<int64_t, int64_t> end_of;  // by first byte
    for (int weight = 0; weight < kWeights; ++weight) {
      const auto& view = loaded.weights[static_cast<Weight>(weight)];
      if (!view.defined() || view.numel() == 0) continue;
      const auto* first = static_cast<const char*>(view.const_data_ptr());
      const auto offset = first - static_cast<const char*>(loaded.buffer.const_data_ptr());
      EXPECT_EQ(offset % 64, 0);
      EXPECT_TRUE(end_of.emplace(offset, offset + view.nbytes()).second) << "two at one place";
    }
    int64_t last = 0;
    for (const auto& [begin, end] : end_of) {
      EXPECT_GE(begin, last) << "overlap";
      last = end;
    }
    EXPECT_LE(last, loaded.layout.bytes());
    EXPECT_GE(end_of.size(), 12u);
  });
}

}  // namespace
}  // namespace actsweep
