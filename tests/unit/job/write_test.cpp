#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "job/intervention_keys.h"
#include "job/keys.h"
#include "job_file.h"

namespace actsweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A job in which every key has a value other than its default, where its key allows one.
Job unusual_job() {
  Job job;
  job.model = {
      .path = "models/\"odd\" \\ name\n\t\x7f ü 😀", .vision = true, .dtype = Dtype::kBFloat16};
  job.corpus = {.paths = {"it's/c.h5", "b.h5"},
                .sequence_length = 333,
                .windows = WindowPolicy::kPerDocument,
                .bos = BosPolicy::kEachWindow,
                .max_sequences = int64_t{1} << 60,
                .mask_ratio = 0.15,
                .mask_seed = 7,
                .shard = {.index = 3, .count = 8}};
  job.parallel = {.tensor = 3,
                  .threads = 5,
                  .weights = WeightMode::kStreamed,
                  .block_tokens = 7777,
                  .microbatch_tokens = 999,
                  .across_nodes = true,
                  .patience_s = 333};
  job.statistics = {.sites = {Site::kGate, Site::kResidual},
                    .top_k = 5,
                    .classes = Classes::kRole,
                    .loss = true,
                    .classifier = "heads/linear.safetensors",
                    .attention = {"events", "from"},
                    .attention_from = "earlier.h5",
                    .attention_received = true,
                    .score_extrema = true,
                    .value_updates = true,
                    .geometry = true,
                    .event_updates = true,
                    .lifecycle = true,
                    .lifecycle_channels = {507, 0},
                    .lifecycle_from = "before.h5",
                    .query_key = true,
                    .quantisation = true,
                    .channel_quantiles = true,
                    .formats = {NumberFormat::kNvfp4, NumberFormat::kInt8Token},
                    .experts = true,
                    .expert_inputs = true,
                    .expert_rows = true,
                    .criterion_magnitude = 0.1,
                    .criterion_ratio = 1e22,
                    .max_events = 2};
  job.capture.prompts = {"war", "Peace_2-b"};
  job.capture.sites = {Site::kMlpHidden, Site::kResidual};
  job.capture.attention = true;
  job.store = {.sites = {Site::kKey, Site::kFinalNorm},
               .layers = {5, 0},
               .tokens = "random:0.25",
               .dtype = Dtype::kBFloat16,
               .seed = 9};
  job.output = {.path = "o.h5",
                .per_token = PerToken::kNone,
                .segment_tokens = 4096,
                .layout = RowLayout::kLinked};
  return job;
}

Job intervened_job() {
  Job job = unusual_job();
  Job::Intervention scale{.layer = 12,
                          .channel_choice = ChannelChoice::kListed,
                          .channels = {507, 0},
                          .tokens = "position:3",
                          .action = Action::kScale,
                          .value = -0.25,
                          .from = {},
                          .variant = "half"};
  Job::Intervention random{.layer = {},
                           .channel_choice = ChannelChoice::kRandom,
                           .channels = {},
                           .tokens = "argmax",
                           .action = Action::kMean,
                           .value = {},
                           .from = "it's/\"means\".h5",
                           .count = 3,
                           .seed = 17,
                           .variant = {}};
  Job::Intervention heads{.layer = 3,
                          .site = Site::kValue,
                          .channels = {},
                          .heads = {2, 0},
                          .tokens = "all",
                          .action = Action::kZero,
                          .value = {},
                          .from = {},
                          .variant = {}};
  job.interventions = {scale, random, heads};
  return job;
}

TEST(WriteJob, ReadsBackEveryKey) {
  for (const Job& job : {unusual_job(), intervened_job(), JobFile(kSmallestJob).load()}) {
    const std::string text = to_toml(job);
    const Job again = JobFile(text).load();
    for (const auto& key : job_keys()) {
      EXPECT_EQ(key.access.get(again), key.access.get(job)) << key.section << "." << key.name;
    }
    EXPECT_EQ(again.interventions.size(), job.interventions.size());
    EXPECT_EQ(to_toml(again), text);
  }
}

TEST(WriteJob, InterventionsKeepTheirOrderAndWhatIsReadOfThem) {
  EXPECT_EQ(to_toml(intervened_job().interventions),
            "[[intervention]]\nlayer = 12\nchannels = [507, 0]\ntokens = \"position:3\"\n"
            "action = \"scale\"\nvalue = -0.25\nvariant = \"half\"\n"
            "\n[[intervention]]\nlayer = \"all\"\nchannels = \"random\"\ntokens = \"argmax\"\n"
            "action = \"mean\"\nfrom = \"it's/\\\"means\\\".h5\"\ncount = 3\nseed = 17\n"
            "\n[[intervention]]\nlayer = 3\nsite = \"value\"\nheads = [2, 0]\n"
            "tokens = \"all\"\naction = \"zero\"\n");
}

TEST(WriteJob, TheIdentityHasEachInterventionWithoutPaths) {
  const auto identity = identity_of(intervened_job());
  EXPECT_EQ(identity["intervention.1.layer"], 12);
  EXPECT_EQ(identity["intervention.1.variant"], "half");
  EXPECT_EQ(identity["intervention.1.value"], -0.25);
  EXPECT_EQ(identity["intervention.2.layer"], "all");
  EXPECT_EQ(identity["intervention.2.seed"], 17);
  EXPECT_EQ(identity["intervention.3.site"], "value");
  EXPECT_EQ(identity["intervention.3.heads"], (std::vector<int64_t>{2, 0}));
  EXPECT_FALSE(identity.contains("intervention.3.channels"));
  EXPECT_FALSE(identity.contains("intervention.1.site"));
  EXPECT_FALSE(identity.contains("intervention.1.count"));
  EXPECT_FALSE(identity.contains("intervention.2.from"));
  EXPECT_FALSE(identity.contains("intervention.2.variant"));
}

TEST(WriteJob, KeysWithoutAValueAreLeftOut) {
  const std::string text = to_toml(JobFile(kSmallestJob).load());
  EXPECT_THAT(text, HasSubstr("[parallel]\ntensor = 1\nweights = \"resident\"\n"));
  for (const std::string name :
       {"threads", "max_sequences", "mask_ratio", "mask_seed", "block_tokens", "segment_tokens"}) {
    EXPECT_THAT(text, Not(HasSubstr(name)));
  }
}

TEST(Identity, HoldsEveryKeyThatCanChangeANumberAndNoOther) {
  std::set<std::string> names;
  const auto identity = identity_of(unusual_job());
  for (const auto& [name, value] : identity.items()) names.insert(name);
  EXPECT_THAT(
      names,
      ElementsAre(
          "capture.attention", "capture.prompts", "capture.sites", "corpus.bos",
          "corpus.mask_ratio", "corpus.mask_seed", "corpus.max_sequences", "corpus.sequence_length",
          "corpus.windows", "model.dtype", "model.residual_dtype", "model.vision",
          "output.per_token", "output.segment_tokens", "parallel.microbatch_tokens",
          "parallel.tensor", "parallel.threads", "statistics.attention",
          "statistics.attention_received", "statistics.channel_quantiles", "statistics.classes",
          "statistics.criterion_magnitude", "statistics.criterion_ratio",
          "statistics.event_updates", "statistics.expert_inputs", "statistics.expert_rows",
          "statistics.experts", "statistics.formats", "statistics.geometry", "statistics.lifecycle",
          "statistics.lifecycle_channels", "statistics.loss", "statistics.max_events",
          "statistics.quantisation", "statistics.query_key", "statistics.score_extrema",
          "statistics.sites", "statistics.top_k", "statistics.value_updates", "store.dtype",
          "store.layers", "store.seed", "store.sites", "store.tokens"));
}

TEST(Identity, ChangesExactlyWithItsKeys) {
  const auto usual = JobFile(kSmallestJob).load();
  const auto unusual = unusual_job();
  for (const auto& key : job_keys()) {
    if (key.words.size() == 1 && key.kind == ValueKind::kWord) continue;  // it has one value only
    Job job = usual;
    key.access.set(job, key.access.get(unusual));
    EXPECT_EQ(identity_of(job) != identity_of(usual), key.in_identity)
        << key.section << "." << key.name;
  }
}

TEST(Identity, IsFlatAndSurvivesItsText) {
  const auto identity = identity_of(unusual_job());
  EXPECT_EQ(identity.at("corpus.windows"), "per_document");
  EXPECT_EQ(identity.at("statistics.criterion_magnitude"), 0.1);
  EXPECT_EQ(nlohmann::json::parse(identity.dump()), identity);
}

TEST(Identity, DifferencesAreNamedWithBothValues) {
  const nlohmann::json mine = {
      {"corpus.sequence_length", 512}, {"model.dtype", "float32"}, {"parallel.tensor", 1}};
  const nlohmann::json theirs = {
      {"corpus.sequence_length", 256}, {"parallel.tensor", 1}, {"parallel.threads", 2}};
  EXPECT_THAT(differing_keys(mine, theirs),
              ElementsAre("corpus.sequence_length: 512 here, 256 in the segments",
                          "model.dtype: \"float32\" here, not set in the segments",
                          "parallel.threads: not set here, 2 in the segments"));
  EXPECT_THAT(differing_keys(mine, mine), IsEmpty());
}

TEST(DescribeKeys, HasARowOfFourCellsForEveryKey) {
  const std::string table = describe_keys();
  EXPECT_THAT(table, HasSubstr("| `statistics.top_k` | an integer from 1 to 64 | `3` | "));
  EXPECT_THAT(table, HasSubstr("| `model.path` | a string that is not empty | required | "));
  EXPECT_THAT(
      table,
      HasSubstr("| `parallel.threads` | an integer from 1 to 1024 | cores / local ranks | "));
  EXPECT_THAT(table, HasSubstr("| `intervention.count` | an integer from 1 to 1000000 | `2` | "));
  EXPECT_THAT(
      table,
      HasSubstr(" | required, or `heads`, `experts`, `weight` | channels of a matched token"));
  std::istringstream lines(table);
  size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('|')) continue;  // between the two tables
    EXPECT_EQ(std::count(line.begin(), line.end(), '|'), 5) << line;
    EXPECT_THAT(line, Not(HasSubstr("|  |"))) << "an empty cell";
    ++count;
  }
  EXPECT_EQ(count, job_keys().size() + intervention_keys().size() + 4);
}

TEST(JobKeys, NamesAreUniqueAndEveryOptionalKeyWithoutAValueSaysWhatStandsInItsPlace) {
  std::set<std::string> names;
  const Job defaults;
  for (const auto& key : job_keys()) {
    EXPECT_TRUE(names.insert(key.section + "." + key.name).second) << key.name;
    EXPECT_EQ(key.access.get(defaults).is_null(), !key.without.empty()) << key.name;
    EXPECT_FALSE(key.meaning.empty()) << key.name;
  }
}

TEST(Dtype, NamesAndSizesAreThoseOfTheElementTypes) {
  EXPECT_STREQ(name_of(Dtype::kFloat16), "float16");
  EXPECT_EQ(size_of(Dtype::kFloat32), 4);
  EXPECT_EQ(size_of(Dtype::kBFloat16), 2);
  EXPECT_EQ(size_of(Dtype::kFloat16), 2);
}

}  // namespace
}  // namespace actsweep
