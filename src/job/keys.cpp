#include "job/keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>

#include "base/error.h"

namespace actsweep {
namespace {

// The words of each enumeration, in the order of its enumerators.
constexpr auto words_of(Dtype) { return std::array{"float32", "bfloat16", "float16"}; }
constexpr auto words_of(WindowPolicy) { return std::array{"packed", "per_document"}; }
constexpr auto words_of(BosPolicy) { return std::array{"none", "each_window"}; }
constexpr auto words_of(WeightMode) { return std::array{"resident", "streamed"}; }
constexpr auto words_of(PerToken) { return std::array{"all", "massive", "none"}; }
constexpr auto words_of(Site) {
  return std::array{"residual",        "attention_input",  "query",     "key",  "value",
                    "attention_heads", "attention_output", "mlp_input", "gate", "up",
                    "mlp_hidden",      "mlp_output",       "final_norm"};
}

template <typename Enum>
std::vector<std::string> all_words() {
  const auto words = words_of(Enum{});
  return {words.begin(), words.end()};
}

template <typename Enum>
const char* word_of(Enum value) {
  return words_of(value).at(static_cast<size_t>(value));
}

template <typename Value>
nlohmann::json to_json_value(const Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    return word_of(value);
  } else {
    return value;
  }
}

nlohmann::json to_json_value(const std::vector<Site>& sites) {
  auto json = nlohmann::json::array();
  for (const Site site : sites) json.push_back(word_of(site));
  return json;
}

nlohmann::json to_json_value(const Job::Shard& shard) {
  return fmt::format("{}/{}", shard.index, shard.count);
}

template <typename Value>
nlohmann::json to_json_value(const std::optional<Value>& value) {
  return value ? to_json_value(*value) : nlohmann::json();
}

template <typename Value>
void from_json_value(const nlohmann::json& json, Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    const auto words = words_of(Value{});
    const auto word = std::find(words.begin(), words.end(), json.get<std::string>());
    ensure(word != words.end(), "a checked word is one of the enumeration's");
    value = static_cast<Value>(word - words.begin());
  } else {
    value = json.get<Value>();
  }
}

void from_json_value(const nlohmann::json& json, std::vector<Site>& sites) {
  sites.clear();
  for (const auto& word : json) from_json_value(word, sites.emplace_back());
}

void from_json_value(const nlohmann::json& json, Job::Shard& shard) {
  shard = parse_shard(json.get<std::string>()).value();
}

template <typename Value>
void from_json_value(const nlohmann::json& json, std::optional<Value>& value) {
  from_json_value(json, value.emplace());
}

template <typename Section, typename Value>
KeyAccess member(Section Job::*section, Value Section::*value) {
  return {
      [=](const Job& job) { return to_json_value(job.*section.*value); },
      [=](Job& job, const nlohmann::json& json) { from_json_value(json, job.*section.*value); }};
}

std::vector<JobKey> model_keys() {
  using Model = Job::Model;
  return {
      {.section = "model",
       .name = "path",
       .kind = ValueKind::kText,
       .access = member(&Job::model, &Model::path),
       .is_required = true,
       .meaning = "checkpoint directory (config.json, safetensors)"},
      {.section = "model",
       .name = "dtype",
       .kind = ValueKind::kWord,
       .access = member(&Job::model, &Model::dtype),
       .in_identity = true,
       .words = all_words<Dtype>(),
       .meaning = "element type of weights and products"},
      {.section = "model",
       .name = "residual_dtype",
       .kind = ValueKind::kWord,
       .access = member(&Job::model, &Model::residual_dtype),
       .in_identity = true,
       .words = {name_of(Dtype::kFloat32)},
       .meaning = "element type of the residual stream",
       .reason = "massive activations pass 65,504, the largest float16"},
  };
}

std::vector<JobKey> corpus_keys() {
  using Corpus = Job::Corpus;
  return {
      {.section = "corpus",
       .name = "path",
       .kind = ValueKind::kText,
       .access = member(&Job::corpus, &Corpus::path),
       .is_required = true,
       .meaning = "token file of data/prepare_corpus.py, or image file of data/prepare_images.py"},
      {.section = "corpus",
       .name = "sequence_length",
       .kind = ValueKind::kInteger,
       .access = member(&Job::corpus, &Corpus::sequence_length),
       .in_identity = true,
       .least = 2,
       .meaning = "tokens in a window, a BOS included"},
      {.section = "corpus",
       .name = "windows",
       .kind = ValueKind::kWord,
       .access = member(&Job::corpus, &Corpus::windows),
       .in_identity = true,
       .words = all_words<WindowPolicy>(),
       .meaning = "whether windows run on across document borders or begin anew at each document"},
      {.section = "corpus",
       .name = "bos",
       .kind = ValueKind::kWord,
       .access = member(&Job::corpus, &Corpus::bos),
       .in_identity = true,
       .words = all_words<BosPolicy>(),
       .meaning = "whether a BOS stands at position 0 of each window"},
      {.section = "corpus",
       .name = "max_sequences",
       .kind = ValueKind::kInteger,
       .access = member(&Job::corpus, &Corpus::max_sequences),
       .in_identity = true,
       .meaning = "windows to sweep",
       .without = "all of the corpus"},
      {.section = "corpus",
       .name = "shard",
       .kind = ValueKind::kShard,
       .access = member(&Job::corpus, &Corpus::shard),
       .meaning = "segments i, i + n, … alone, for job arrays"},
  };
}

std::vector<JobKey> parallel_keys() {
  using Parallel = Job::Parallel;
  return {
      {.section = "parallel",
       .name = "tensor",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::tensor),
       .in_identity = true,
       .meaning = "ranks in a model group, over which one copy of the model is split"},
      {.section = "parallel",
       .name = "threads",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::threads),
       .in_identity = true,
       .meaning = "threads of a rank",
       .without = "cores / local ranks"},
      {.section = "parallel",
       .name = "weights",
       .kind = ValueKind::kWord,
       .access = member(&Job::parallel, &Parallel::weights),
       .words = all_words<WeightMode>(),
       .meaning =
           "whether weights stay in memory or are read anew, layer by layer, for each block"},
      {.section = "parallel",
       .name = "block_tokens",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::block_tokens),
       .meaning = "tokens whose residual stream is kept between layers; changes no number",
       .without = "what memory allows"},
      {.section = "parallel",
       .name = "microbatch_tokens",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::microbatch_tokens),
       .in_identity = true,
       .meaning = "tokens that pass a layer together"},
  };
}

std::vector<JobKey> statistics_keys() {
  using Statistics = Job::Statistics;
  return {
      {.section = "statistics",
       .name = "sites",
       .kind = ValueKind::kWords,
       .access = member(&Job::statistics, &Statistics::sites),
       .in_identity = true,
       .words = all_words<Site>(),
       .meaning = "where activations are measured"},
      {.section = "statistics",
       .name = "top_k",
       .kind = ValueKind::kInteger,
       .access = member(&Job::statistics, &Statistics::top_k),
       .in_identity = true,
       .most = 64,
       .meaning = "largest activations kept for each token and each sequence"},
      {.section = "statistics",
       .name = "loss",
       .kind = ValueKind::kFlag,
       .access = member(&Job::statistics, &Statistics::loss),
       .in_identity = true,
       .meaning = "whether the loss of the next token is measured (costs the logits)"},
      {.section = "statistics",
       .name = "attention",
       .kind = ValueKind::kWords,
       .access = member(&Job::statistics, &Statistics::attention),
       .in_identity = true,
       .words = {"position:0", "class:delimiter:first", "class:weak_semantic:first",
                 "class:other:first", "registers", "events", "from"},
       .meaning = "sets of keys to which attention is measured; none: attention is not measured"},
      {.section = "statistics",
       .name = "attention_from",
       .kind = ValueKind::kText,
       .access = member(&Job::statistics, &Statistics::attention_from),
       .meaning = "sweep file of the same corpus and windows whose tokens with an event are the "
                  "set \"from\"",
       .without = "no set \"from\""},
      {.section = "statistics",
       .name = "value_updates",
       .kind = ValueKind::kFlag,
       .access = member(&Job::statistics, &Statistics::value_updates),
       .in_identity = true,
       .meaning = "whether what the sets of keys add to the attention output is measured"},
      {.section = "statistics",
       .name = "query_key",
       .kind = ValueKind::kFlag,
       .access = member(&Job::statistics, &Statistics::query_key),
       .in_identity = true,
       .meaning = "whether the norms of queries, keys and values over tokens are measured"},
      {.section = "statistics",
       .name = "experts",
       .kind = ValueKind::kFlag,
       .access = member(&Job::statistics, &Statistics::experts),
       .in_identity = true,
       .meaning = "whether tokens and largest outputs of routed experts are measured"},
      {.section = "statistics",
       .name = "criterion_magnitude",
       .kind = ValueKind::kNumber,
       .access = member(&Job::statistics, &Statistics::criterion_magnitude),
       .in_identity = true,
       .meaning = "an event's magnitude is above this"},
      {.section = "statistics",
       .name = "criterion_ratio",
       .kind = ValueKind::kNumber,
       .access = member(&Job::statistics, &Statistics::criterion_ratio),
       .in_identity = true,
       .meaning = "and at least this many times the median magnitude"},
      {.section = "statistics",
       .name = "max_events",
       .kind = ValueKind::kInteger,
       .access = member(&Job::statistics, &Statistics::max_events),
       .in_identity = true,
       .meaning = "events kept for each layer and sequence"},
  };
}

std::vector<JobKey> capture_and_output_keys() {
  return {
      {.section = "capture",
       .name = "attention",
       .kind = ValueKind::kFlag,
       .access = member(&Job::capture, &Job::Capture::attention),
       .in_identity = true,
       .meaning = "whether the prompts' attention is stored in full"},
      {.section = "capture",
       .name = "prompts",
       .kind = ValueKind::kNames,
       .access = member(&Job::capture, &Job::Capture::prompts),
       .in_identity = true,
       .meaning = "named sequences of the corpus file, or numbers of its images, whose whole "
                  "residual stream is "
                  "stored"},
      {.section = "output",
       .name = "path",
       .kind = ValueKind::kText,
       .access = member(&Job::output, &Job::Output::path),
       .is_required = true,
       .meaning = "sweep file to write"},
      {.section = "output",
       .name = "per_token",
       .kind = ValueKind::kWord,
       .access = member(&Job::output, &Job::Output::per_token),
       .in_identity = true,
       .words = all_words<PerToken>(),
       .meaning = "tokens that keep rows: all, those with an event, none"},
      {.section = "output",
       .name = "segment_tokens",
       .kind = ValueKind::kInteger,
       .access = member(&Job::output, &Job::Output::segment_tokens),
       .in_identity = true,
       .meaning = "tokens committed together, in whole micro-batches",
       .without = "tokens / 64, 16 Ki to 1 Mi"},
  };
}

}  // namespace

const char* name_of(Dtype dtype) { return word_of(dtype); }
const char* name_of(WindowPolicy policy) { return word_of(policy); }
const char* name_of(BosPolicy policy) { return word_of(policy); }
const char* name_of(WeightMode mode) { return word_of(mode); }
const char* name_of(PerToken choice) { return word_of(choice); }
const char* name_of(Site site) { return word_of(site); }

bool Job::measures(Site site) const {
  return std::find(statistics.sites.begin(), statistics.sites.end(), site) !=
         statistics.sites.end();
}

int64_t size_of(Dtype dtype) { return dtype == Dtype::kFloat32 ? 4 : 2; }

std::optional<Job::Shard> parse_shard(const std::string& text) {
  Job::Shard shard;
  const char* end = text.data() + text.size();
  const auto index = std::from_chars(text.data(), end, shard.index);
  if (index.ec != std::errc() || index.ptr == end || *index.ptr != '/') return std::nullopt;
  const auto count = std::from_chars(index.ptr + 1, end, shard.count);
  if (count.ec != std::errc() || count.ptr != end) return std::nullopt;
  if (shard.index < 0 || shard.index >= shard.count) return std::nullopt;
  return shard;
}

const std::vector<JobKey>& job_keys() {
  static const std::vector<JobKey> keys = [] {
    std::vector<JobKey> all;
    for (const auto& part : {model_keys(), corpus_keys(), parallel_keys(), statistics_keys(),
                             capture_and_output_keys()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return keys;
}

}  // namespace actsweep
