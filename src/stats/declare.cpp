#include "stats/declare.h"

#include "stats/declare_statistics.h"

namespace actsweep {

namespace {

using enum Axis;
using enum ElementType;

void append(std::vector<Dataset>& datasets, std::vector<Dataset> more) {
  for (auto& dataset : more) datasets.push_back(std::move(dataset));
}

std::vector<Dataset> declare_magnitude_bin() {
  return {{"magnitude_bin",
           kFloat32,
           {kMagnitudeBin},
           "1",
           "lower edge of a bin of magnitudes",
           Merge::kConstant}};
}

std::vector<Dataset> declare_tokens(PerToken per_token) {
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
  if (per_token == PerToken::kMassive) {
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

std::vector<Dataset> declare_capture(const std::string& prompt) {
  const std::string group = "capture/" + prompt;
  return {
      {group + "/id", kUInt32, {kPromptToken}, "1", "ids of the prompt's tokens", Merge::kConstant},
      {group + "/residual",
       kFloat32,
       {kLayer, kPromptToken, kChannel},
       "1",
       "residual stream of the prompt",
       Merge::kConstant},
  };
}

std::vector<Dataset> declare_site(const std::string& site, PerToken per_token) {
  std::vector<Dataset> datasets = declare_token_extrema(site, per_token);
  append(datasets, declare_sequence_extrema(site));
  append(datasets, declare_channel_moments(site));
  append(datasets, declare_magnitude_histogram(site));
  append(datasets, declare_class_moments(site));
  return datasets;
}

}  // namespace

std::vector<Dataset> declare_datasets(const Job& job, CorpusKind kind) {
  const PerToken per_token = job.output.per_token;
  std::vector<Dataset> datasets = declare_magnitude_bin();
  append(datasets, declare_tokens(per_token));
  if (kind == CorpusKind::kImages) append(datasets, declare_grid());
  append(datasets, declare_sequences());
  append(datasets, declare_vocabulary());
  for (const auto& site : job.statistics.sites) {
    append(datasets, declare_site(site, per_token));
    if (site != kResidualSite) continue;
    append(datasets, declare_massive_columns());
    append(datasets, declare_massive_counts());
    append(datasets, declare_massive_corpus());
  }
  if (job.statistics.loss) {
    append(datasets, declare_loss_rows(per_token));
    append(datasets, declare_loss_sums());
  }
  for (const auto& prompt : job.capture.prompts) append(datasets, declare_capture(prompt));
  return datasets;
}

const char* name_of(Axis axis) {
  switch (axis) {
    case kLayer:
      return "layer";
    case kToken:
      return "token";
    case kSequence:
      return "sequence";
    case kChannel:
      return "channel";
    case kOrder:
      return "order";
    case kMagnitudeBin:
      return "magnitude_bin";
    case kClass:
      return "class";
    case kEvent:
      return "event";
    case kRow:
      return "row";
    case kVocabulary:
      return "vocabulary";
    case kVocabularyOffset:
      return "vocabulary_offset";
    case kVocabularyByte:
      return "vocabulary_byte";
    case kPromptToken:
      return "token";
    case kFinding:
      return "finding";
  }
  return "";
}

const char* name_of(Merge merge) {
  switch (merge) {
    case Merge::kRows:
      return "rows";
    case Merge::kGather:
      return "gather";
    case Merge::kSum:
      return "sum";
    case Merge::kMax:
      return "max";
    case Merge::kMin:
      return "min";
    case Merge::kConstant:
      return "constant";
    case Merge::kDerived:
      return "derived";
  }
  return "";
}

const char* name_of(ElementType type) {
  switch (type) {
    case kUInt8:
      return "uint8";
    case kUInt32:
      return "uint32";
    case kUInt64:
      return "uint64";
    case kInt64:
      return "int64";
    case kFloat32:
      return "float32";
    case kFloat64:
      return "float64";
  }
  return "";
}

int64_t size_of(ElementType type) {
  switch (type) {
    case kUInt8:
      return 1;
    case kUInt32:
    case kFloat32:
      return 4;
    case kUInt64:
    case kInt64:
    case kFloat64:
      return 8;
  }
  return 0;
}

}  // namespace actsweep
