#include "checkpoint/wrapper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace actsweep {
namespace {

using nlohmann::json;
using testing::Contains;

Config parts_of(const std::string& type, const json& more = json::object()) {
  json values = {{"model_type", type},
                 {"text_config", {{"model_type", "llama"}}},
                 {"vision_config", {{"model_type", "clip_vision_model"}}}};
  values.update(more);
  return {values, "config.json"};
}

TEST(Wrapper, FindsTheLanguageModelUnderEveryNameThatItWasSavedBy) {
  const auto part = part_of(parts_of("llava"), Reading::kText);
  const auto names = stored_names(part, "model.", "model.norm.weight");
  for (const char* name : {"language_model.model.norm.weight", "model.language_model.norm.weight",
                           "language_model.norm.weight", "model.norm.weight"}) {
    EXPECT_THAT(names, Contains(name));
  }
  EXPECT_EQ(own_name(part, "language_model.model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(own_name(part, "model.language_model.norm.weight"), "model.norm.weight");
  EXPECT_EQ(name_of_part(part, "model.", "lm_head.weight"), "lm_head.weight");
}

TEST(Wrapper, FindsATowerUnderEveryNameThatItWasSavedBy) {
  const auto part = part_of(parts_of("llava"), Reading::kImages);
  const std::string prefix = "vision_model.", own = prefix + "post_layernorm.weight";
  const auto names = stored_names(part, prefix, own);
  for (const std::string outer : {"vision_tower.", "model.vision_tower."}) {
    EXPECT_THAT(names, Contains(outer + own));
    EXPECT_THAT(names, Contains(outer + "post_layernorm.weight"));
    EXPECT_EQ(own_name(part, outer + own), own);
  }
  EXPECT_EQ(name_of_part(part, prefix, own), "model.vision_tower.post_layernorm.weight");
}

TEST(Wrapper, EachPartIsBesideTheOther) {
  const auto text = part_of(parts_of("llava"), Reading::kText),
             tower = part_of(parts_of("llava"), Reading::kImages);
  for (const std::string outer : {"", "model."}) {
    EXPECT_TRUE(is_beside(text, outer + "vision_tower.encoder.layers.0.mlp.fc1.weight"));
    EXPECT_FALSE(is_beside(tower, outer + "vision_tower.encoder.layers.0.mlp.fc1.weight"));
    EXPECT_TRUE(is_beside(tower, outer + "language_model.layers.0.mlp.up_proj.weight"));
    EXPECT_FALSE(is_beside(text, outer + "language_model.layers.0.mlp.up_proj.weight"));
  }
}

TEST(Wrapper, KnowsTheIdsThatStandForImages) {
  EXPECT_EQ(part_of(parts_of("llava"), Reading::kText).image_tokens, std::vector<int64_t>{32000});
  const json written = {{"image_token_index", 7}, {"video_token_id", 9}};
  EXPECT_EQ(part_of(parts_of("llava", written), Reading::kText).image_tokens,
            (std::vector<int64_t>{7, 9}));
  EXPECT_TRUE(part_of(parts_of("llava"), Reading::kImages).image_tokens.empty());
  EXPECT_TRUE(part_of(parts_of("llama"), Reading::kText).image_tokens.empty());
  EXPECT_THROW(part_of(parts_of("llava", {{"image_token_id", "x"}}), Reading::kText), Error);
}

}  // namespace
}  // namespace actsweep
