#include "schema/declare.h"

#include <fmt/format.h>

#include "corpus/request.h"
#include "schema/declare_statistics.h"

namespace actsweep {

namespace {

using enum Axis;
using enum ElementType;

void append(std::vector<Dataset>& datasets, std::vector<Dataset> more) {
  for (auto& dataset : more) datasets.push_back(std::move(dataset));
}

std::vector<Dataset> declare_epsilon() {
  return {{"epsilon", kFloat64, {kEpsilon}, "1", "threshold of the sink metric", Merge::kConstant}};
}

std::vector<Dataset> declare_lifecycle_channel() {
  return {{"lifecycle_channel",
           kInt64,
           {kNamedChannel},
           "1",
           "channels that the job, or an earlier sweep, names",
           Merge::kConstant}};
}

std::vector<Dataset> declare_quarter_octave() {
  return {{"quarter_octave",
           kFloat32,
           {kQuarter},
           "1",
           "smallest magnitude in a bin of a quarter octave",
           Merge::kConstant}};
}

std::vector<Dataset> declare_magnitude_bin() {
  return {{"magnitude_bin",
           kFloat32,
           {kMagnitudeBin},
           "1",
           "lower edge of a bin of magnitudes",
           Merge::kConstant}};
}

std::vector<Dataset> declare_tokens(bool keeps_event_rows) {
  std::vector<Dataset> datasets = {
      {"tokens/id", kUInt32, {kToken}, "1", "id in the vocabulary", Merge::kRows},
      {"tokens/position", kUInt32, {kToken}, "1", "position in the window", Merge::kRows},
      {"tokens/sequence", kInt64, {kToken}, "1", "sequence of the token", Merge::kRows, kSequence},
      {"tokens/document", kInt64, {kToken}, "1", "document of the token", Merge::kRows, {}, true},
      {"tokens/class",
       kUInt8,
       {kToken},
       "1",
       "class of the token (text 0: position 0, 1: delimiter, 2: weak-semantic word, 3: other; "
       "images "
       "0: class token, 1: register, 2: patch)",
       Merge::kRows},
  };
  if (keeps_event_rows) {
    datasets.push_back({"tokens/row_token",
                        kInt64,
                        {kRow},
                        "1",
                        "token whose rows are kept because it has an event",
                        Merge::kRows,
                        kToken});
  }
  return datasets;
}

std::vector<Dataset> declare_roles() {
  return {{"tokens/role",
           kUInt8,
           {kToken},
           "1",
           "whose words the token holds (0: the chat template's, 1: system, 2: user, 3: assistant, "
           "4: tool); corpora of chats alone",
           Merge::kRows}};
}

std::vector<Dataset> declare_grid() {
  return {
      {"tokens/grid_row",
       kUInt32,
       {kToken},
       "1",
       "row of a patch in its image's grid (4294967295: no patch); image corpora alone",
       Merge::kRows},
      {"tokens/grid_column",
       kUInt32,
       {kToken},
       "1",
       "column of a patch in its image's grid (4294967295: no patch); image corpora alone",
       Merge::kRows},
  };
}

std::vector<Dataset> declare_sequences() {
  return {{"sequences/length", kUInt32, {kSequence}, "1", "tokens in the window", Merge::kRows}};
}

std::vector<Dataset> declare_requests() {
  std::vector<Dataset> datasets;
  for (const auto& column : kRequestColumns) {
    datasets.push_back({fmt::format("requests/{}", column.name),
                        kUInt32,
                        {kSequence},
                        "1",
                        fmt::format("{}; corpora of tasks alone", column.meaning),
                        Merge::kRows});
  }
  return datasets;
}

std::vector<Dataset> declare_vocabulary() {
  return {
      {"vocabulary/bytes",
       kUInt8,
       {kVocabularyByte},
       "1",
       "bytes of all tokens, end to end",
       Merge::kConstant},
      {"vocabulary/offset",
       kUInt64,
       {kVocabularyOffset},
       "1",
       "where each id's bytes begin, and the end of the last",
       Merge::kConstant},
  };
}

std::vector<Dataset> declare_capture(const std::string& prompt, const std::vector<Site>& sites,
                                     ValueWidth values) {
  const std::string group = "capture/" + prompt;
  std::vector<Dataset> datasets = {
      {group + "/id", kUInt32, {kPromptToken}, "1", "ids of the prompt's tokens", Merge::kConstant},
  };
  for (const Site site : sites) {
    const auto [name, layer, channel] = group_of(site, values);
    datasets.push_back(
        {group + "/" + name,
         kFloat32,
         {layer, kPromptToken, channel},
         "1",
         "activations of the prompt at the site, one dataset for each of [capture] sites (NaN: a "
         "layer without it)",
         Merge::kConstant});
  }
  return datasets;
}

std::vector<Dataset> declare_captured_experts(const std::string& prompt) {
  return {{"capture/" + prompt + "/expert",
           kInt64,
           {kLayer, kPromptToken, kExpertChoice},
           "1",
           "experts that each token chose, the most probable first (-1: a layer without experts); "
           "models with experts alone",
           Merge::kConstant}};
}

std::vector<Dataset> declare_captured_attention(const std::string& prompt) {
  const std::string group = "capture/" + prompt;
  return {
      {group + "/attention_logit",
       kFloat32,
       {kLayer, kHead, kPromptToken, kPromptKey},
       "1",
       "scaled, capped and biased score of a query and a key (NaN: hidden from the query)",
       Merge::kConstant},
      {group + "/attention",
       kFloat32,
       {kLayer, kHead, kPromptToken, kPromptKey},
       "1",
       "attention probability of a query on a key",
       Merge::kConstant},
  };
}

std::vector<Dataset> declare_site(const SiteGroup& site, const Job& job) {
  std::vector<Dataset> datasets = declare_token_extrema(site, job.output.per_token);
  append(datasets, declare_sequence_extrema(site));
  append(datasets, declare_channel_moments(site));
  append(datasets, declare_magnitude_histogram(site));
  append(datasets, declare_class_moments(site));
  if (job.statistics.classes == Classes::kRole) append(datasets, declare_role_moments(site));
  if (job.statistics.quantisation) append(datasets, declare_quantiser_statistics(site));
  if (job.statistics.channel_quantiles) append(datasets, declare_channel_histogram(site));
  if (!job.statistics.formats.empty()) append(datasets, declare_format_errors(site));
  return datasets;
}

std::vector<Dataset> declare_variants(const Job& job, const InputFacts& inputs) {
  std::vector<Dataset> datasets;
  if (job.statistics.loss) {
    append(datasets, declare_variant_rows(job.output.per_token));
    append(datasets, declare_variant_losses());
  }
  append(datasets, declare_variant_matches());
  if (job.statistics.loss) {
    if (inputs.has_requests) datasets.push_back(declare_variant_scores());
    append(datasets, declare_variant_perplexities());
  }
  if (job.statistics.classifier) append(datasets, declare_variant_classification());
  return datasets;
}

}  // namespace

std::vector<Dataset> declare_datasets(const Job& job, const InputFacts& inputs) {
  const PerToken per_token = job.output.per_token;
  std::vector<Dataset> datasets = declare_magnitude_bin();
  if (!job.statistics.attention.empty()) append(datasets, declare_epsilon());
  if (job.statistics.channel_quantiles) append(datasets, declare_quarter_octave());
  if (job.statistics.lifecycle) append(datasets, declare_lifecycle_channel());
  append(datasets, declare_tokens(job.keeps_event_rows()));
  if (inputs.has_roles) append(datasets, declare_roles());
  if (inputs.corpus == CorpusKind::kImages) append(datasets, declare_grid());
  append(datasets, declare_sequences());
  append(datasets, declare_vocabulary());
  for (const Site site : job.statistics.sites) {
    append(datasets, declare_site(group_of(site, inputs.values), job));
    if (site != Site::kResidual) continue;
    if (inputs.registers > 0) append(datasets, declare_register_moments());
    append(datasets, declare_massive_columns());
    if (job.statistics.event_updates) append(datasets, declare_event_updates());
    if (job.statistics.lifecycle) append(datasets, declare_lifecycle());
    append(datasets, declare_massive_counts());
    append(datasets, declare_massive_corpus());
  }
  if (job.statistics.geometry) {
    append(datasets, declare_cosines(per_token));
    append(datasets, declare_participation());
  }
  if (job.measures(Site::kMlpHidden) && job.measures(Site::kMlpOutput)) {
    append(datasets, declare_super_weights());
  }
  if (!job.statistics.attention.empty()) append(datasets, declare_attention());
  if (job.statistics.attention_received) {
    append(datasets, declare_received_by_tokens(per_token));
    append(datasets, declare_received_by_sequences());
  }
  if (job.statistics.score_extrema) append(datasets, declare_scores());
  if (job.statistics.value_updates) append(datasets, declare_value_updates(inputs.values));
  if (job.statistics.query_key) append(datasets, declare_query_key(inputs.values));
  if (job.statistics.experts) append(datasets, declare_experts());
  if (job.statistics.expert_inputs) {
    append(datasets, declare_expert_inputs(job.statistics.quantisation));
  }
  if (job.statistics.expert_rows) append(datasets, declare_token_experts(per_token));
  if (job.statistics.loss) {
    append(datasets, declare_loss_rows(per_token));
    append(datasets, declare_loss_sums());
    if (inputs.has_requests) {
      append(datasets, declare_requests());
      datasets.push_back(declare_scores_of_requests());
    }
  }
  if (job.statistics.classifier) append(datasets, declare_classification());
  if (!job.interventions.empty()) append(datasets, declare_interventions());
  if (!job.variants().empty()) append(datasets, declare_variants(job, inputs));
  append(datasets, declare_store(job.store, inputs.values));
  for (const auto& prompt : job.capture.prompts) {
    append(datasets, declare_capture(prompt, job.capture.sites, inputs.values));
    if (inputs.has_experts) append(datasets, declare_captured_experts(prompt));
    if (job.capture.attention) append(datasets, declare_captured_attention(prompt));
  }
  return datasets;
}

}  // namespace actsweep
