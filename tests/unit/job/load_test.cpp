#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "job/keys.h"
#include "job_file.h"

namespace actsweep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

/// The only mistake of the smallest job with one key set.
std::string mistake_of(const std::string& override) {
  const auto mistakes = JobFile(kSmallestJob).mistakes({override});
  EXPECT_EQ(mistakes.size(), 1u) << testing::PrintToString(mistakes);
  const std::string place = "--set " + override + ": ";
  EXPECT_THAT(mistakes.at(0), StartsWith(place));
  return mistakes.at(0).substr(place.size());
}

TEST(LoadJob, ReadsEveryKey) {
  const Job job = JobFile(R"(
[model]
path = "models/tiny"
vision = true
dtype = "bfloat16"
residual_dtype = "float32"
[corpus]
path = "corpora/tiny.h5"
sequence_length = 1_024
windows = "per_document"
bos = "each_window"
max_sequences = 10
shard = "2/5"
[parallel]
tensor = 4
threads = 2
weights = "streamed"
block_tokens = 65536
microbatch_tokens = 4096
[statistics]
sites = ["residual"]
top_k = 64
loss = true
criterion_magnitude = 50
criterion_ratio = 12.5
max_events = 7
[capture]
prompts = ["war", "peace-2"]
[output]
path = "results/tiny.h5"
per_token = "massive"
segment_tokens = 16384
[[intervention]]
layer = 12
channels = [507, 3]
tokens = "position:0"
action = "zero"
[[intervention]]
layer = "all"
channels = "random"
tokens = "registers"
action = "mean"
from = "means.h5"
count = 5
seed = 9
variant = "random-5"
)")
                      .load();
  EXPECT_EQ(job.model.path, "models/tiny");
  EXPECT_TRUE(job.model.vision);
  EXPECT_EQ(job.model.dtype, Dtype::kBFloat16);
  EXPECT_EQ(job.model.residual_dtype, Dtype::kFloat32);
  EXPECT_EQ(job.corpus.paths, std::vector<std::string>{"corpora/tiny.h5"});
  EXPECT_EQ(job.corpus.sequence_length, 1024);
  EXPECT_EQ(job.corpus.windows, WindowPolicy::kPerDocument);
  EXPECT_EQ(job.corpus.bos, BosPolicy::kEachWindow);
  EXPECT_EQ(job.corpus.max_sequences, 10);
  EXPECT_EQ(job.corpus.shard.index, 2);
  EXPECT_EQ(job.corpus.shard.count, 5);
  EXPECT_EQ(job.parallel.tensor, 4);
  EXPECT_EQ(job.parallel.threads, 2);
  EXPECT_EQ(job.parallel.weights, WeightMode::kStreamed);
  EXPECT_EQ(job.parallel.block_tokens, 65536);
  EXPECT_EQ(job.parallel.microbatch_tokens, 4096);
  EXPECT_THAT(job.statistics.sites, ElementsAre(Site::kResidual));
  EXPECT_EQ(job.statistics.top_k, 64);
  EXPECT_TRUE(job.statistics.loss);
  EXPECT_EQ(job.statistics.criterion_magnitude, 50.0);
  EXPECT_EQ(job.statistics.criterion_ratio, 12.5);
  EXPECT_EQ(job.statistics.max_events, 7);
  EXPECT_THAT(job.capture.prompts, ElementsAre("war", "peace-2"));
  EXPECT_EQ(job.output.path, "results/tiny.h5");
  EXPECT_EQ(job.output.per_token, PerToken::kMassive);
  EXPECT_EQ(job.output.segment_tokens, 16384);
  ASSERT_EQ(job.interventions.size(), 2u);
  const auto& zero = job.interventions[0];
  EXPECT_EQ(zero.layer, 12);
  EXPECT_EQ(zero.channel_choice, ChannelChoice::kListed);
  EXPECT_THAT(zero.channels, ElementsAre(507, 3));
  EXPECT_EQ(zero.tokens, "position:0");
  EXPECT_EQ(zero.action, Action::kZero);
  EXPECT_FALSE(zero.variant);
  const auto& mean = job.interventions[1];
  EXPECT_EQ(mean.layer, std::nullopt);
  EXPECT_EQ(mean.channel_choice, ChannelChoice::kRandom);
  EXPECT_EQ(mean.tokens, "registers");
  EXPECT_EQ(mean.action, Action::kMean);
  EXPECT_EQ(mean.from, "means.h5");
  EXPECT_EQ(mean.count, 5);
  EXPECT_EQ(mean.seed, 9);
  EXPECT_EQ(mean.variant, "random-5");
}

/// The mistakes of the smallest job with an [[intervention]] table of these lines, without what
/// stands before the key.
std::vector<std::string> table_mistakes(const std::string& lines,
                                        const std::string& loss = "true") {
  const std::string text = std::string(kSmallestJob) + "\n[[intervention]]\n" + lines;
  auto mistakes = JobFile(text).mistakes({"statistics.loss=" + loss});
  for (auto& mistake : mistakes) {
    const auto title = mistake.find("[[intervention]] ");
    EXPECT_NE(title, std::string::npos) << mistake;
    mistake = mistake.substr(title + std::string("[[intervention]] ").size());
  }
  return mistakes;
}

const std::string kPlace = "layer = 1\nchannels = [1]\ntokens = 'all'\n";

TEST(LoadJob, EachKeyOfAnInterventionIsChecked) {
  EXPECT_THAT(
      table_mistakes("layer = -1\nchannels = [4, 4, -2, 'x']\ntokens = 'position:'\naction = "
                     "'one'\nvalue = inf\ncuont = 3\nvariant = 'a b'\n"),
      ElementsAre("layer: expected an integer of at least 0, or \"all\", found an integer (-1)",
                  "channels: entry 2: 4 is named twice",
                  "channels: entry 3: expected an integer of at least 0, found an integer (-2)",
                  "channels: entry 4: expected an integer of at least 0, found a string (\"x\")",
                  ::testing::AllOf(::testing::StartsWith(
                                       "tokens: expected \"position:N\", or one of \"argmax\""),
                                   ::testing::EndsWith("found a string (\"position:\")")),
                  StartsWith("action: expected one of \"zero\", \"mean\""),
                  "value: expected a number that float32 holds, found a float (inf)",
                  "cuont: unknown key; did you mean \"count\"?",
                  StartsWith("variant: expected a name of letters")));
  EXPECT_THAT(table_mistakes("channels = []\ntokens = 'class:verb:first'\naction = 'zero'"),
              ElementsAre(StartsWith("layer: missing, but required"), "channels: the list is empty",
                          StartsWith("tokens: expected")));
}

TEST(LoadJob, EveryTokenSelectorOfTheDocumentationIsTaken) {
  for (const std::string tokens :
       {"position:0", "position:4095", "argmax", "class:delimiter:first",
        "class:weak_semantic:first", "class:other:first", "registers", "all"}) {
    const auto job = JobFile(std::string(kSmallestJob) +
                             "\n[[intervention]]\nlayer = 0\nchannels = 'median'\ntokens = '" +
                             tokens + "'\naction = 'zero'")
                         .load();
    EXPECT_EQ(job.interventions.at(0).tokens, tokens);
  }
  for (const std::string tokens : {"position:-1", "position:1x", "position:99999999999999999999",
                                   "class:delimiter", "first", ""}) {
    EXPECT_THAT(
        table_mistakes("layer = 0\nchannels = 'all'\ntokens = '" + tokens + "'\naction = 'zero'"),
        ElementsAre(StartsWith("tokens: expected")));
  }
}

TEST(LoadJob, KeysOfAnInterventionThatDoNotGoTogetherAreRefused) {
  const auto only = [](const std::string& start) { return ElementsAre(StartsWith(start)); };
  EXPECT_THAT(table_mistakes(kPlace + "action = 'mean'"),
              ElementsAre("action: \"mean\" takes its mean from value or from: expected one of "
                          "them, found neither"));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'mean'\nvalue = 1\nfrom = 'x'"),
              ElementsAre(EndsWith("found both")));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'scale'"), only("action: \"scale\" needs"));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'value'"), only("action: \"value\" needs"));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'zero'\nvalue = 1"), only("value: "));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'value'\nvalue = 1\nfrom = 'x'"), only("from: "));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'noise'"), only("action: \"noise\" needs means"));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'noise'\nfrom = 'x'\nvalue = 1"), only("value: "));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'shuffle'\nvalue = 1"), only("value: "));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'shuffle'\nfrom = 'x'\nseed = 1"), only("from: "));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'zero'\ncount = 2"), only("count: "));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'zero'\nseed = 2"), only("seed: "));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'zero'\nvariant = 'v'", "false"),
              only("variant: variants are compared by their loss"));
}

TEST(LoadJob, AnInterventionNamesItsSiteAndChannelsOrHeads) {
  const std::string zero = "tokens = 'all'\naction = 'zero'\n";
  const auto job = JobFile(std::string(kSmallestJob) +
                           "\n[[intervention]]\nlayer = 2\nsite = 'value'\nheads = [3, 0]\n" + zero)
                       .load();
  EXPECT_EQ(job.interventions.at(0).site, Site::kValue);
  EXPECT_THAT(job.interventions.at(0).heads, ElementsAre(3, 0));
  EXPECT_EQ(job.interventions.at(0).channels, std::vector<int64_t>{});
  EXPECT_THAT(table_mistakes("layer = 1\n" + zero),
              ElementsAre(StartsWith("channels: missing, but required")));
  EXPECT_THAT(
      table_mistakes(kPlace + "action = 'zero'\nsite = 'key'\nheads = [0]"),
      ElementsAre("heads: expected channels, heads or experts, found more than one of them"));
  EXPECT_THAT(table_mistakes("layer = 1\nheads = [0]\n" + zero),
              ElementsAre("heads: expected site = \"query\", \"key\", \"value\" or "
                          "\"attention_heads\", which have heads, found \"residual\""));
  EXPECT_THAT(table_mistakes("layer = 1\nsite = 'key'\nheads = []\n" + zero),
              ElementsAre("heads: expected one or more, found none"));
  EXPECT_THAT(table_mistakes("layer = 0\nsite = 'gate'\nchannels = [1]\n" + zero),
              ElementsAre("layer: the embedding has no site \"gate\": expected a block, from 1 on, "
                          "found 0"));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'zero'\nsite = 'final_norm'"),
              ElementsAre(EndsWith("found a string (\"final_norm\")")));
  EXPECT_THAT(
      table_mistakes("layer = 1\nsite = 'up'\nchannels = [1]\ntokens = 'registers'\n"
                     "action = 'mean'\nfrom = 'x'\n"),
      ElementsAre(StartsWith("tokens: means of registers are those of the site \"residual\"")));
}

TEST(LoadJob, AnInterventionOnExpertsSetsWhatTheyAddToZero) {
  const std::string experts = "layer = 1\nexperts = [2, 0]\n";
  const std::string output = experts + "site = 'mlp_output'\n";
  const auto job = JobFile(std::string(kSmallestJob) + "\n[[intervention]]\n" + output +
                           "tokens = 'all'\naction = 'zero'\n")
                       .load();
  EXPECT_THAT(job.interventions.at(0).experts, ElementsAre(2, 0));
  EXPECT_THAT(table_mistakes(experts + "tokens = 'all'\naction = 'zero'"),
              ElementsAre("experts: expected site = \"mlp_output\", to which experts add, found "
                          "\"residual\""));
  EXPECT_THAT(table_mistakes(output + "tokens = 'all'\naction = 'value'\nvalue = 1"),
              ElementsAre("action: expected \"zero\" or \"bar\" of experts, found \"value\""));
  EXPECT_THAT(table_mistakes(output + "tokens = 'all'\naction = 'bar'\nvalue = 1"),
              ElementsAre("value: \"bar\" takes no number"));
  EXPECT_THAT(
      table_mistakes("layer = 1\nchannels = [1]\ntokens = 'all'\naction = 'bar'"),
      ElementsAre("action: \"bar\" keeps experts from being chosen: expected experts, found "
                  "none"));
  EXPECT_THAT(table_mistakes(output + "tokens = 'argmax'\naction = 'zero'"),
              ElementsAre(StartsWith("tokens: expected tokens by their place or class")));
  EXPECT_THAT(
      table_mistakes(output + "channels = [1]\ntokens = 'all'\naction = 'zero'"),
      ElementsAre("experts: expected channels, heads or experts, found more than one of them"));
}

TEST(LoadJob, AShiftAddsToTheScoresOfWholeHeadsAtKeys) {
  const std::string shift = "layer = 1\nsite = 'key'\naction = 'shift'\n";
  EXPECT_THAT(table_mistakes(shift + "channels = 'all'\ntokens = 'all'"),
              ElementsAre("action: \"shift\" needs a number: expected value, found none"));
  EXPECT_THAT(table_mistakes(shift + "channels = [1]\ntokens = 'all'\nvalue = 1"),
              ElementsAre(StartsWith("channels: expected \"all\", or heads, of \"shift\"")));
  EXPECT_THAT(table_mistakes(shift + "heads = [1]\ntokens = 'argmax'\nvalue = 1"),
              ElementsAre(StartsWith("tokens: expected tokens by their place or class")));
  EXPECT_THAT(table_mistakes("layer = 1\nsite = 'value'\nchannels = 'all'\ntokens = 'all'\n"
                             "action = 'shift'\nvalue = 1"),
              ElementsAre(StartsWith("site: expected \"key\" of \"shift\"")));
}

TEST(LoadJob, AnInterventionOnAWeightHasItsRowAndColumnAndNoOtherPlace) {
  const std::string weight = "layer = 2\nweight = 'down'\nrow = 0\ncolumn = 7\n";
  const auto job =
      JobFile(std::string(kSmallestJob) + "\n[[intervention]]\n" + weight + "action = 'zero'\n")
          .load();
  EXPECT_TRUE(job.interventions.at(0).is_weight);
  EXPECT_EQ(job.interventions.at(0).row, 0);
  EXPECT_EQ(job.interventions.at(0).column, 7);
  EXPECT_EQ(JobFile(to_toml(job)).load().interventions.at(0).column, 7);
  EXPECT_THAT(table_mistakes("layer = 2\nweight = 'down'\naction = 'zero'"),
              ElementsAre("weight: expected its row, found none",
                          "weight: expected its column, found none"));
  EXPECT_THAT(table_mistakes(kPlace + "action = 'zero'\nrow = 1"),
              ElementsAre("row: expected weight = \"down\", which takes it"));
  EXPECT_THAT(table_mistakes(weight + "action = 'zero'\ntokens = 'all'\nchannels = 'all'"),
              ElementsAre("tokens: expected weight = \"down\" without it",
                          "channels: expected weight = \"down\" without it"));
  EXPECT_THAT(
      table_mistakes("layer = 'all'\nweight = 'down'\nrow = 0\ncolumn = 7\naction = 'zero'"),
      ElementsAre("layer: expected the block of the weight, from 1 on, found \"all\""));
  EXPECT_THAT(table_mistakes(weight + "action = 'mean'\nvalue = 1"),
              ElementsAre("action: expected \"zero\", \"value\" or \"scale\" of a weight, found "
                          "\"mean\""));
}

TEST(LoadJob, InterventionsAreAnArrayOfTables) {
  const std::string text = kSmallestJob;
  EXPECT_THAT(
      JobFile(text + "\n[intervention]\nlayer = 1\n").mistakes(),
      ElementsAre(EndsWith("[[intervention]]: expected an array of tables, found a table")));
  EXPECT_THAT(
      JobFile(text + "\n[[interventions]]\nlayer = 1\n").mistakes(),
      ElementsAre(EndsWith("[interventions]: unknown section; did you mean [[intervention]]?")));
  EXPECT_THAT(JobFile(text).mistakes({"intervention.layer=2"}),
              ElementsAre("--set intervention.layer=2: [[intervention]] tables are set in the job "
                          "file alone"));
  EXPECT_THAT(JobFile("action = 'zero'\n" + text).mistakes(),
              ElementsAre(EndsWith("did you mean \"action\" of [[intervention]]?")));
}

TEST(LoadJob, KeysLeftOutHaveTheirDefaults) {
  const Job job = JobFile(kSmallestJob).load();
  const Job defaults;
  for (const auto& key : job_keys()) {
    if (key.is_required) continue;
    EXPECT_EQ(key.access.get(job), key.access.get(defaults)) << key.section << "." << key.name;
  }
}

TEST(LoadJob, AllMistakesAreReportedTogetherEachWithItsLine) {
  const JobFile file(R"([model]
dtype = "int8"
[corpus]
path = "c.h5"
sequence_lenght = 512
sequence_length = 0
shard = "3/3"

[paralel]
tensor = 2
[statistics]
top_k = 65
loss = "yes"
criterion_ratio = -1.0
[capture]
prompts = ["war", "peace!", 7, "war"]
)");
  EXPECT_THAT(
      file.mistakes({"parallel.treads=2", "output.per_token=some"}),
      ElementsAre(
          "JOB:1: [model] path: missing, but required: checkpoint directory (config.json, "
          "safetensors), or hf:NAME[@REVISION] of the local cache",
          "JOB:2: [model] dtype: expected one of \"float32\", \"bfloat16\", \"float16\", found a "
          "string (\"int8\")",
          "JOB:5: [corpus] sequence_lenght: unknown key; did you mean \"sequence_length\"?",
          "JOB:6: [corpus] sequence_length: expected an integer from 1 to 16777216, found an "
          "integer (0)",
          "JOB:7: [corpus] shard: expected \"i/n\" with 0 <= i < n <= 1000000, found a string "
          "(\"3/3\")",
          "JOB:9: [paralel]: unknown section; did you mean [parallel]?",
          "JOB:12: [statistics] top_k: expected an integer from 1 to 64, found an integer (65)",
          "JOB:13: [statistics] loss: expected true or false, found a string (\"yes\")",
          "JOB:14: [statistics] criterion_ratio: expected a finite number above 0, found a float "
          "(-1.0)",
          "JOB:16: [capture] prompts: entry 2: expected a name of letters, digits, _ and -, found "
          "a string (\"peace!\")",
          "JOB:16: [capture] prompts: entry 3: expected a name of letters, digits, _ and -, found "
          "an integer (7)",
          "JOB:16: [capture] prompts: entry 4: \"war\" is named twice",
          "JOB: [output] path: missing, but required: sweep file to write",
          "--set parallel.treads=2: unknown key; did you mean \"threads\"?",
          "--set output.per_token=some: expected one of \"all\", \"massive\", \"none\", found a "
          "string (\"some\")"));
}

TEST(LoadJob, EachKeyIsRecoveredFromAMisspelling) {
  for (const auto& key : job_keys()) {
    const std::string wrong = key.name + "q";
    EXPECT_EQ(mistake_of(key.section + "." + wrong + "=1"),
              "unknown key; did you mean \"" + key.name + "\"?");
    EXPECT_EQ(mistake_of(key.section + "q." + key.name + "=1"),
              "unknown section; did you mean [" + key.section + "]?");
  }
}

TEST(LoadJob, AKeyInTheWrongSectionIsSentToItsOwn) {
  EXPECT_EQ(mistake_of("model.sequence_length=4"),
            "unknown key; did you mean \"sequence_length\" of [corpus]?");
  EXPECT_THAT(JobFile(std::string("tensor = 2\n") + kSmallestJob).mistakes(),
              ElementsAre("JOB:1: tensor: a key outside the sections; did you mean \"tensor\" of "
                          "[parallel]?"));
}

TEST(LoadJob, ASectionThatIsNoTableIsRefused) {
  const std::string tail = "[corpus]\npath = 'c'\n[output]\npath = 'o'\n";
  EXPECT_THAT(JobFile("model = 5\n" + tail).mistakes(),
              ElementsAre("JOB:1: [model]: expected a section, found an integer (5)",
                          StartsWith("JOB:1: [model] path: missing")));
  EXPECT_THAT(JobFile("[[model]]\npath = 'm'\n" + tail).mistakes(),
              testing::Contains(EndsWith("[model]: expected a section, found a list")));
}

TEST(LoadJob, AllRequiredKeysOfAnEmptyFileAreNamed) {
  EXPECT_THAT(JobFile("").mistakes(), ElementsAre(StartsWith("JOB: [model] path: missing"),
                                                  StartsWith("JOB: [corpus] path: missing"),
                                                  StartsWith("JOB: [output] path: missing")));
}

TEST(LoadJob, AnIntegerIsNeverAFloatAStringOrABoolean) {
  for (const auto& key : job_keys()) {
    if (key.kind != ValueKind::kInteger) continue;
    const std::string name = key.section + "." + key.name;
    EXPECT_THAT(mistake_of(name + "=4.0"), ::testing::EndsWith("found a float (4.0)"));
    EXPECT_THAT(mistake_of(name + "=\"4\""), ::testing::EndsWith("found a string (\"4\")"));
    EXPECT_THAT(mistake_of(name + "=true"), ::testing::EndsWith("found a boolean (true)"));
    EXPECT_THAT(mistake_of(name + "=2024-01-01"), ::testing::EndsWith("found a date or time"));
    EXPECT_THAT(mistake_of(name + "=[4]"), ::testing::EndsWith("found a list"));
    EXPECT_THAT(mistake_of(name + "={n = 4}"), ::testing::EndsWith("found a table"));
  }
}

TEST(LoadJob, IntegersAreTakenFromTheirLeastToTheirMost) {
  const JobFile file(kSmallestJob);
  for (const auto& key : job_keys()) {
    if (key.kind != ValueKind::kInteger) continue;
    const std::string name = key.section + "." + key.name + "=";
    for (const int64_t value : {key.least, key.most}) {
      EXPECT_EQ(key.access.get(file.load({name + std::to_string(value)})), value);
    }
    EXPECT_THAT(mistake_of(name + std::to_string(key.least - 1)), HasSubstr("expected an integer"));
    if (key.most < INT64_MAX) {
      EXPECT_THAT(mistake_of(name + std::to_string(key.most + 1)),
                  HasSubstr("expected an integer"));
    }
  }
}

TEST(LoadJob, LimitsAreThoseOfTheDocumentation) {
  for (const auto& [name, limit] :
       std::vector<std::pair<std::string, int64_t>>{{"corpus.sequence_length", 1},
                                                    {"corpus.max_sequences", 1},
                                                    {"parallel.tensor", 1},
                                                    {"parallel.threads", 1},
                                                    {"parallel.block_tokens", 1},
                                                    {"parallel.microbatch_tokens", 1},
                                                    {"statistics.top_k", 1},
                                                    {"statistics.max_events", 1},
                                                    {"output.segment_tokens", 1}}) {
    EXPECT_THAT(mistake_of(name + "=" + std::to_string(limit - 1)), HasSubstr("expected"));
    EXPECT_NO_THROW(JobFile(kSmallestJob).load({name + "=" + std::to_string(limit)})) << name;
  }
}

TEST(LoadJob, CriteriaAreFiniteAndPositive) {
  for (const std::string name : {"statistics.criterion_magnitude", "statistics.criterion_ratio"}) {
    for (const std::string value : {"0", "0.0", "-5", "nan", "inf", "big"}) {
      EXPECT_THAT(mistake_of(name + "=" + value), HasSubstr("expected a finite number above 0"));
    }
  }
  EXPECT_EQ(
      JobFile(kSmallestJob).load({"statistics.criterion_ratio=0.25"}).statistics.criterion_ratio,
      0.25);
}

TEST(LoadJob, AShardIsAnIndexBelowItsCount) {
  for (const std::string value : {"1", "1/", "/2", "2/2", "0/0", "-1/2", "0/-1", "1/2/3", "a/b",
                                  "1/2 ", "'0/99999999999999999999'"}) {
    EXPECT_THAT(mistake_of("corpus.shard=" + value), HasSubstr("with 0 <= i < n"));
  }
  EXPECT_EQ(JobFile(kSmallestJob).load({"corpus.shard=1/2"}).corpus.shard.count, 2);
}

TEST(LoadJob, AResidualOtherThanFloat32IsRefusedWithTheReason) {
  for (const std::string value : {"float16", "bfloat16"}) {
    EXPECT_EQ(mistake_of("model.residual_dtype=" + value),
              "expected \"float32\", found a string (\"" + value +
                  "\"); massive activations pass 65,504, the largest float16");
  }
}

TEST(LoadJob, AnUnknownSiteIsRefusedWithTheKnownOnes) {
  EXPECT_THAT(mistake_of("statistics.sites=['residual', 'mlp']"),
              ::testing::AllOf(::testing::StartsWith(
                                   "entry 2: expected one of \"residual\", \"attention_input\", "),
                               ::testing::EndsWith("\"final_norm\", found a string (\"mlp\")")));
  EXPECT_THAT(mistake_of("statistics.sites=residual"),
              ::testing::AllOf(::testing::StartsWith("expected a list of \"residual\", "),
                               ::testing::EndsWith(", found a string (\"residual\")")));
}

TEST(LoadJob, AListOfIntegersMayBeEmptyAndTakesEachOnce) {
  const JobFile file(kSmallestJob);
  const std::string key = "statistics.lifecycle_channels";
  EXPECT_THAT(file.load({key + "=[7, 0]"}).statistics.lifecycle_channels, ElementsAre(7, 0));
  EXPECT_THAT(file.load({key + "=[]"}).statistics.lifecycle_channels, IsEmpty());
  EXPECT_EQ(mistake_of(key + "=[7, 0, 7]"), "entry 3: 7 is named twice");
  EXPECT_EQ(mistake_of(key + "=[-1]"),
            "entry 1: expected an integer of at least 0, found an integer (-1)");
  EXPECT_EQ(mistake_of(key + "=7"),
            "expected a list of integers of at least 0, found an integer (7)");
}

TEST(LoadJob, EmptyPathsAreRefused) {
  EXPECT_EQ(mistake_of("output.path="),
            "expected a string that is not empty, found a string (\"\")");
}

TEST(LoadJob, OverridesReplaceTheFileAndTheLastOneWins) {
  const JobFile file(std::string("[parallel]\ntensor = 'two'\n") + kSmallestJob);
  EXPECT_EQ(file.load({"parallel.tensor=2", "parallel.tensor=3"}).parallel.tensor, 3);
}

TEST(LoadJob, OverridesAreTomlWhereABareWordIsAString) {
  const JobFile file(kSmallestJob);
  EXPECT_EQ(file.load({"model.path=../a b/c=d#1"}).model.path, "../a b/c=d#1");
  EXPECT_EQ(file.load({"model.path='2024'"}).model.path, "2024");
  EXPECT_EQ(file.load({"model.path=\"tab\\there\""}).model.path, "tab\there");
  EXPECT_EQ(file.load({"model.dtype=float16"}).model.dtype, Dtype::kFloat16);
  EXPECT_TRUE(file.load({"statistics.loss=true"}).statistics.loss);
  EXPECT_THAT(file.load({"capture.prompts=['a', 'b']"}).capture.prompts, ElementsAre("a", "b"));
  EXPECT_THAT(file.load({"capture.prompts=[]"}).capture.prompts, IsEmpty());
}

TEST(LoadJob, OverridesThatAreNoneAreRefused) {
  EXPECT_EQ(mistake_of("tensor"), "expected section.key=value");
  EXPECT_EQ(mistake_of("parallel.tensor"), "expected section.key=value");
  EXPECT_EQ(mistake_of("tensor=4"), "expected section.key=value");
  EXPECT_THAT(mistake_of("capture.prompts=[a, b]"),
              StartsWith("not a TOML value; expected a list"));
  EXPECT_THAT(mistake_of("model.path=\"open"), StartsWith("not a TOML value"));
  EXPECT_THAT(mistake_of("model.path=\xff"), StartsWith("not a TOML value"));
  const auto injected = JobFile(kSmallestJob).mistakes({"parallel.tensor=1\nthreads = 2"});
  EXPECT_THAT(injected.back(),
              ::testing::EndsWith("not a TOML value; expected an integer from 1 to 65536"));
}

TEST(LoadJob, LargestValuesAreThoseOfTheDocumentation) {
  for (const auto& [name, limit] : std::vector<std::pair<std::string, std::string>>{
           {"corpus.sequence_length", "16777216"},
           {"parallel.tensor", "65536"},
           {"parallel.threads", "1024"},
           {"parallel.block_tokens", "1000000000"},
           {"parallel.microbatch_tokens", "1000000000"},
           {"output.segment_tokens", "1000000000"},
           {"statistics.top_k", "64"}}) {
    EXPECT_THAT(mistake_of(name + "=9223372036854775807"), HasSubstr(" to " + limit + ", found"));
  }
  EXPECT_THAT(mistake_of("corpus.shard=0/9223372036854775807"), HasSubstr("i < n <= 1000000"));
}

TEST(LoadJob, NumberThatTomlHasNoRoomForNamesItsKeyAndRange) {
  const std::string job = std::string(kSmallestJob) + "[ parallel ] # of ranks\n";
  EXPECT_THAT(
      JobFile(job + "weights = 'resident'\nthreads = 99999999999999999999 # all\n").mistakes(),
      ElementsAre("JOB:9: [parallel] threads: expected an integer from 1 to 1024, found "
                  "99999999999999999999"));
  EXPECT_THAT(JobFile(job + "tensor = -99999999999999999999\n").mistakes(),
              ElementsAre("JOB:8: [parallel] tensor: expected an integer from 1 to 65536, found "
                          "-99999999999999999999"));
  EXPECT_THAT(
      JobFile(std::string(kSmallestJob) + "[[intervention]]\nlayer = 0xFFFFFFFFFFFFFFFFFF\n")
          .mistakes(),
      ElementsAre("JOB:8: [[intervention]] layer: expected an integer of at least 0, or "
                  "\"all\", found 0xFFFFFFFFFFFFFFFFFF"));
  EXPECT_THAT(mistake_of("parallel.threads=99999999999999999999"),
              HasSubstr("expected an integer from 1 to 1024"));
}

TEST(LoadJob, ASyntaxErrorNamesLineAndColumn) {
  EXPECT_THAT(JobFile("[model]\npath = 'm'\ndtype = = 3\n").mistakes().front(),
              StartsWith("JOB:3:9: not TOML: "));
  EXPECT_THAT(JobFile("[model]\npath = 'm'\npath = 'n'\n").mistakes().front(),
              ::testing::AllOf(::testing::StartsWith("JOB:3:"), HasSubstr("path")));
}

TEST(LoadJob, AFileThatCannotBeReadIsOneClearError) {
  const auto message = [](const std::string& path) -> std::string {
    try {
      load_job(path, {"parallel.tensor=0"});
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kJob);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message("/nonexistent/job.toml"),
            "/nonexistent/job.toml: cannot open the job file: No such file or directory");
  EXPECT_EQ(message("/tmp"), "/tmp: cannot read the job file: Is a directory");
}

}  // namespace
}  // namespace actsweep
