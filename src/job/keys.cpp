#include "job/keys.h"

#include <charconv>

#include "job/key_access.h"

namespace actsweep {
namespace {

std::vector<JobKey> model_keys() {
  using Model = Job::Model;
  return {
      {.section = "model",
       .name = "path",
       .kind = ValueKind::kText,
       .access = member(&Job::model, &Model::path),
       .is_required = true,
       .meaning = "checkpoint directory (config.json, safetensors), or hf:NAME[@REVISION] of the "
                  "local cache"},
      {.section = "model",
       .name = "vision",
       .kind = ValueKind::kFlag,
       .access = member(&Job::model, &Model::vision),
       .in_identity = true,
       .meaning = "whether the vision tower of a model of several parts is swept, by images, in "
                  "place of its language model"},
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

/// One file is a string, several are a list.
KeyAccess corpus_paths() {
  return {[](const Job& job) {
            const auto& paths = job.corpus.paths;
            return paths.size() == 1 ? nlohmann::json(paths.front()) : nlohmann::json(paths);
          },
          [](Job& job, const nlohmann::json& json) {
            job.corpus.paths = json.is_string() ? std::vector{json.get<std::string>()}
                                                : json.get<std::vector<std::string>>();
          }};
}

std::vector<JobKey> corpus_keys() {
  using Corpus = Job::Corpus;
  return {
      {.section = "corpus",
       .name = "path",
       .kind = ValueKind::kTexts,
       .access = corpus_paths(),
       .is_required = true,
       .meaning = "token files of data/prepare_corpus.py, one corpus in the order of the list, or "
                  "an image file of data/prepare_images.py"},
      {.section = "corpus",
       .name = "sequence_length",
       .kind = ValueKind::kInteger,
       .access = member(&Job::corpus, &Corpus::sequence_length),
       .in_identity = true,
       .least = 1,
       .most = kLongestSequence,
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
       .meaning = "number of windows to sweep",
       .without = "all of the corpus"},
      {.section = "corpus",
       .name = "mask_ratio",
       .kind = ValueKind::kNumber,
       .access = member(&Job::corpus, &Corpus::mask_ratio),
       .in_identity = true,
       .meaning =
           "part of the corpus' tokens that the mask's id replaces, up to 1, for a model that "
           "predicts masked tokens",
       .without = "none"},
      {.section = "corpus",
       .name = "mask_seed",
       .kind = ValueKind::kInteger,
       .access = member(&Job::corpus, &Corpus::mask_seed),
       .in_identity = true,
       .least = 0,
       .meaning = "seed of the masked places",
       .without = "`0`"},
      {.section = "corpus",
       .name = "shard",
       .kind = ValueKind::kShard,
       .access = member(&Job::corpus, &Corpus::shard),
       .meaning = "only the segments i, i + n, …, for job arrays"},
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
       .most = kMostRanks,
       .meaning = "ranks in a model group, over which one copy of the model is split"},
      {.section = "parallel",
       .name = "threads",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::threads),
       .in_identity = true,
       .most = kMostThreads,
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
       .name = "across_nodes",
       .kind = ValueKind::kFlag,
       .access = member(&Job::parallel, &Parallel::across_nodes),
       .meaning = "whether the ranks of a model group may lie on different nodes"},
      {.section = "parallel",
       .name = "block_tokens",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::block_tokens),
       .most = kMostTokens,
       .meaning = "tokens whose residual stream is kept between layers; changes no number",
       .without = "what memory allows"},
      {.section = "parallel",
       .name = "microbatch_tokens",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::microbatch_tokens),
       .in_identity = true,
       .most = kMostTokens,
       .meaning = "tokens that pass a layer together"},
      {.section = "parallel",
       .name = "patience_s",
       .kind = ValueKind::kInteger,
       .access = member(&Job::parallel, &Parallel::patience_s),
       .most = kMostPatience_s,
       .meaning = "seconds without a step after which a rank ends the run (docs/faults.md)",
       .without = "50 steps of the plan, at least 120"},
  };
}

bool has(const std::vector<Site>& sites, Site site) {
  return std::find(sites.begin(), sites.end(), site) != sites.end();
}

std::vector<JobKey> capture_keys() {
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
       .meaning = "named sequences of the corpus file, taken as they are (a BOS is part of their "
                  "text), or numbers of its images, whose activations are stored in full"},
      {.section = "capture",
       .name = "sites",
       .kind = ValueKind::kWords,
       .access = member(&Job::capture, &Job::Capture::sites),
       .in_identity = true,
       .words = all_words<Site>(),
       .meaning = "where the prompts' activations are stored"},
  };
}

std::vector<JobKey> output_keys() {
  return {
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
       .meaning = "tokens whose rows are kept: all, those with an event, none"},
      {.section = "output",
       .name = "segment_tokens",
       .kind = ValueKind::kInteger,
       .access = member(&Job::output, &Job::Output::segment_tokens),
       .in_identity = true,
       .most = kMostTokens,
       .meaning = "tokens committed together, in whole micro-batches",
       .without = "tokens / 64 in multiples of 32 Ki, at most 1 Mi"},
      {.section = "output",
       .name = "layout",
       .kind = ValueKind::kWord,
       .access = member(&Job::output, &Job::Output::layout),
       .words = all_words<RowLayout>(),
       .meaning = "whether the sweep file holds all rows, or links to the segments' files, which "
                  "then stay beside it"},
  };
}

}  // namespace

const char* name_of(Dtype dtype) { return word_of(dtype); }
const char* name_of(WindowPolicy policy) { return word_of(policy); }
const char* name_of(BosPolicy policy) { return word_of(policy); }
const char* name_of(WeightMode mode) { return word_of(mode); }
const char* name_of(PerToken choice) { return word_of(choice); }
const char* name_of(RowLayout layout) { return word_of(layout); }
const char* name_of(Classes choice) { return word_of(choice); }
const char* name_of(Site site) { return word_of(site); }
const char* name_of(NumberFormat format) { return word_of(format); }

bool Job::measures(Site site) const { return has(statistics.sites, site); }

bool Job::captures(Site site) const { return !capture.prompts.empty() && has(capture.sites, site); }

bool Job::stores(Site site) const { return has(store.sites, site); }

int64_t size_of(Dtype dtype) { return dtype == Dtype::kFloat32 ? 4 : 2; }

std::optional<Job::Shard> parse_shard(const std::string& text) {
  Job::Shard shard;
  const char* end = text.data() + text.size();
  const auto index = std::from_chars(text.data(), end, shard.index);
  if (index.ec != std::errc() || index.ptr == end || *index.ptr != '/') return std::nullopt;
  const auto count = std::from_chars(index.ptr + 1, end, shard.count);
  if (count.ec != std::errc() || count.ptr != end) return std::nullopt;
  if (shard.index < 0 || shard.index >= shard.count || shard.count > kMostShards) {
    return std::nullopt;
  }
  return shard;
}

const std::vector<JobKey>& job_keys() {
  static const std::vector<JobKey> keys = [] {
    std::vector<JobKey> all;
    for (const auto& part : {model_keys(), corpus_keys(), parallel_keys(), statistics_keys(),
                             capture_keys(), store_keys(), output_keys()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return keys;
}

}  // namespace actsweep
