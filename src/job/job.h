// The job: what a sweep's TOML file asks for, validated as a whole.
//
// In: a TOML file and `--set section.key=value` overrides. Out: a `Job`. Refuses (ErrorKind::kJob)
// unknown sections and keys with the nearest known one, wrong types, values out of range and
// missing keys, all of them in one message, each with its line. Knows neither LibTorch nor MPI nor
// whether the files that it names exist.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace actsweep {

enum class Dtype { kFloat32, kBFloat16, kFloat16 };
enum class WindowPolicy { kPacked, kPerDocument };
enum class BosPolicy { kNone, kEachWindow };
enum class WeightMode { kResident, kStreamed };
enum class PerToken { kAll, kMassive, kNone };
/// Whether the sweep file holds its rows itself, or they stay in the segments' files.
enum class RowLayout { kPacked, kLinked };
/// By what activations are summed: classes of tokens, or these and the roles of a chat.
enum class Classes { kToken, kRole };
/// What an intervention writes over an activation.
enum class Action { kZero, kMean, kValue, kScale, kNoise, kShuffle, kBar, kShift };
/// The channels of a matched token: listed, all, or one of the controls.
enum class ChannelChoice { kListed, kAll, kMedian, kRandom };
/// Where activations are measured: the groups of the sweep file (docs/statistics.md).
enum class Site {
  kResidual,        // the embedding output and the output of each block
  kAttentionInput,  // input of the query, key and value projections
  kQueryLatent,     // of latent attention: what queries are made of, before its norm
  kKeyValueLatent,  // what keys and values are made of, before its norm
  kQuery,           // before rotary positions, as are keys
  kKey,
  kValue,
  kAttentionHeads,   // outputs of the heads: input of the output projection
  kAttentionOutput,  // of the output projection, its bias included
  kStateOutput,      // of the state space beside attention, its bias included
  kMlpInput,         // of the MLP and of the router
  kGate,             // gate projection of the dense MLP before the activation
  kUp,               // up projection of the dense MLP; without a gate, before the activation
  kMlpHidden,        // input of the dense MLP's down projection
  kMlpOutput,        // of the MLP, its bias and routed experts included
  kFinalNorm,        // output of the norm before the head
};

/// Formats of low precision for activations (measure/number_formats.h).
enum class NumberFormat { kInt8Token, kFp8E4M3Token, kMxfp8E4M3, kMxfp4, kNvfp4 };

/// The words of the job file: "float32", "per_document", "each_window", "streamed", "massive", ...
const char* name_of(Dtype dtype);
const char* name_of(WindowPolicy policy);
const char* name_of(BosPolicy policy);
const char* name_of(WeightMode mode);
const char* name_of(PerToken choice);
const char* name_of(RowLayout layout);
const char* name_of(Classes choice);
const char* name_of(Action action);
const char* name_of(Site site);
const char* name_of(NumberFormat format);
/// Whether the channels of a site are those of heads, or of key/value heads.
bool has_heads(Site site);
/// Bytes of one element.
int64_t size_of(Dtype dtype);

struct Job {
  struct Model {
    std::string path;                        // checkpoint directory
    bool vision = false;                     // the tower of a model of several parts, by images
    Dtype dtype = Dtype::kFloat32;           // of weights and products
    Dtype residual_dtype = Dtype::kFloat32;  // of the residual stream; only float32
  } model;
  struct Shard {
    int64_t index = 0;
    int64_t count = 1;
  };
  struct Corpus {
    std::vector<std::string> paths;  // token files of data/prepare_corpus.py, or one image file
    int64_t sequence_length = 512;
    WindowPolicy windows = WindowPolicy::kPacked;
    BosPolicy bos = BosPolicy::kNone;
    std::optional<int64_t> max_sequences;
    std::optional<double> mask_ratio;  // of tokens that are masked, up to 1; none: none are
    std::optional<int64_t> mask_seed;  // of their places
    Shard shard;                       // segments index, index + count, ...
  } corpus;
  struct Parallel {
    int64_t tensor = 1;  // ranks in a model group
    std::optional<int64_t> threads;
    WeightMode weights = WeightMode::kResident;
    std::optional<int64_t> block_tokens;
    int64_t microbatch_tokens = 8192;
    bool across_nodes = false;          // whether a model group may lie on several
    std::optional<int64_t> patience_s;  // for a step of a rank
  } parallel;
  struct Statistics {
    std::vector<Site> sites = {Site::kResidual};
    int64_t top_k = 3;
    Classes classes = Classes::kToken;
    bool loss = false;
    /// What answers which class an image is of: "checkpoint", or a safetensors file of a head.
    std::optional<std::string> classifier;
    std::vector<std::string> attention;         // sets of keys; none: attention is not measured
    std::optional<std::string> attention_from;  // a sweep file, for the set "from"
    bool attention_received = false;            // by each key
    bool score_extrema = false;
    bool value_updates = false;  // of the sets of keys
    bool geometry = false;       // of the residual stream
    bool event_updates = false;  // what attention and MLP change of events
    bool lifecycle = false;      // the named channels at every layer, of tokens with an event
    std::vector<int64_t> lifecycle_channels;    // with those of `lifecycle_from`
    std::optional<std::string> lifecycle_from;  // a sweep file, whose events name channels
    bool query_key = false;
    bool quantisation = false;          // what a quantiser asks of each site
    bool channel_quantiles = false;     // histograms of each channel's magnitudes
    std::vector<NumberFormat> formats;  // whose errors are measured at each site
    bool experts = false;
    bool expert_inputs = false;  // of each expert's linear layers, by channel
    bool expert_rows = false;    // of each token
    double criterion_magnitude = 100;
    double criterion_ratio = 1000;
    int64_t max_events = 10;  // per layer and sequence
  } statistics;
  struct Capture {
    std::vector<std::string> prompts;             // names of the corpus file's named sequences
    std::vector<Site> sites = {Site::kResidual};  // whose activations of them are stored
    bool attention = false;                       // whether their attention is stored in full
  } capture;
  struct Store {
    std::vector<Site> sites;      // whose activations are stored; none: no store
    std::vector<int64_t> layers;  // none: all
    std::string tokens = "all";   // or "random:0.1", "events": job/token_sample.h
    Dtype dtype = Dtype::kFloat32;
    int64_t seed = 0;  // of random tokens
  } store;
  struct Output {
    std::string path;
    PerToken per_token = PerToken::kAll;
    std::optional<int64_t> segment_tokens;
    RowLayout layout = RowLayout::kPacked;
  } output;
  /// One [[intervention]] table: activations of a site that are overwritten.
  struct Intervention {
    /// None: every layer whose output is a block's input; inside, every block that has the site.
    std::optional<int64_t> layer;
    Site site = Site::kResidual;
    ChannelChoice channel_choice = ChannelChoice::kListed;
    std::vector<int64_t> channels;      // listed
    std::vector<int64_t> heads = {};    // in place of channels: all channels of these
    std::vector<int64_t> experts = {};  // in place of channels: what these routed ones give, or
                                        // with kBar whether they are chosen
    /// In place of channels and tokens one weight of the dense MLP's down projection.
    bool is_weight = false;
    std::optional<int64_t> row = {};     // of it: a channel of the output
    std::optional<int64_t> column = {};  // a neuron
    std::string tokens = "all";          // "position:0", "argmax", ...
    Action action = Action::kZero;
    std::optional<double> value;      // for a mean without `from`, a value, a scale
    std::optional<std::string> from;  // the sweep file of the means
    int64_t count = 2;                // channels of a control
    int64_t seed = 0;                 // of random channels, noise and shuffles
    std::optional<std::string> variant;

    /// Whether its channels are those of a control.
    bool is_control() const {
      return channel_choice == ChannelChoice::kMedian || channel_choice == ChannelChoice::kRandom;
    }
    /// Whether it draws random numbers.
    bool is_random() const {
      return channel_choice == ChannelChoice::kRandom || action == Action::kNoise ||
             action == Action::kShuffle;
    }
  };
  std::vector<Intervention> interventions;  // applied in this order

  bool measures(Site site) const;
  /// Whether the site's activations of any prompt are stored.
  bool captures(Site site) const;
  /// Whether the site's activations of tokens of the corpus are stored.
  bool stores(Site site) const;
  /// Whether any statistic takes the gathered rows of all members of a model group.
  bool sees_gathered_rows() const {
    return !statistics.attention.empty() || statistics.attention_received ||
           statistics.score_extrema || statistics.query_key || statistics.experts;
  }
  /// Whether the file has rows of the tokens with an event.
  bool keeps_event_rows() const {
    return output.per_token == PerToken::kMassive || statistics.lifecycle;
  }
  /// Whether what stands behind the last layer is computed.
  bool needs_head() const {
    return statistics.loss || statistics.classifier || measures(Site::kFinalNorm) ||
           captures(Site::kFinalNorm) || stores(Site::kFinalNorm);
  }
  /// The names of the variants, in the order in which the file begins them.
  std::vector<std::string> variants() const;
};

/// Reads and validates a job file. `overrides` are "section.key=value" with the value in TOML
/// syntax, where a bare word is a string; they replace what the file says, the last of several
/// wins. Relative paths stay as written (they are relative to the working directory).
Job load_job(const std::string& path, const std::vector<std::string>& overrides);

/// The job of overrides alone, of which none is required: there is no file.
Job load_overrides(const std::vector<std::string>& overrides);

/// The job with every key that has a value, as TOML that load_job accepts.
std::string to_toml(const Job& job);
/// [[intervention]] tables, as in to_toml(job).
std::string to_toml(const std::vector<Job::Intervention>& interventions);

/// The keys whose values can change a number in the file, as a flat object {"section.key": value}:
/// not paths, weight mode, block, shard. Keys without a value (threads that are not set) are
/// absent. Those of interventions are numbered: "intervention.1.layer". The caller adds the
/// fingerprints and what it resolved.
nlohmann::json identity_of(const Job& job);

/// Where two flat objects differ, one line a key: "corpus.sequence_length: 512 here, 256 in the
/// segments".
std::vector<std::string> differing_keys(const nlohmann::json& mine, const nlohmann::json& theirs);

/// All keys of a job file as Markdown tables: key, values, default, meaning.
std::string describe_keys();

}  // namespace actsweep
