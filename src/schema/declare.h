// Declarations of the datasets of a sweep file: names, axes, units, merge rules.
//
// In: the job. Out: one list of `Dataset` rows that serves the reduction over the model group, the
// merge of segments, the merge of files, the schema command and the attributes in the file.
// Mentions no tensor: this header is all that output/ and plan/ see of stats/.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "corpus/kind.h"
#include "job/job.h"

namespace actsweep {

/// kBFloat16 lies in the file as the uint16 of its bits.
enum class ElementType { kUInt8, kUInt32, kUInt64, kInt64, kBFloat16, kFloat32, kFloat64 };

/// The dimension scales at the root of the file.
enum class Axis {
  kLayer,         // 0 = embedding output, l = output of block l
  kToken,         // tokens measured, in corpus order
  kSequence,      // windows
  kChannel,       // of the residual stream
  kOrder,         // rank in a top-k
  kMagnitudeBin,  // 32,640 bins of finite magnitudes
  kClass,         // token class
  kEvent,         // one activation that passes the criterion
  kRow,           // tokens with an event, under per_token = "massive"
  kVocabulary,    // token ids
  kVocabularyOffset,
  kVocabularyByte,
  kPromptToken,   // tokens of one captured prompt (one axis per prompt)
  kExpertChoice,  // experts that a token chose
  kFinding,       // layer and channel pairs that pass against the layer's corpus median
  kFinalLayer,    // the last layer alone
  kQueryChannel,  // query heads x head width, head by head
  kKeyChannel,    // key/value heads x head width
  kNeuron,        // of the MLP
  kHead,          // query heads
  kKeyHead,       // key/value heads
  kHeadChannel,   // of one head
  kKeySet,        // sets of keys that the job names
  kSelection,     // 0: the set itself, 1: a random set of equal size
  kEpsilon,       // thresholds of the sink metric
  kExpert,        // routed experts
  kExpertNeuron,  // of one routed expert
  kRegister,      // register tokens of an image
  kPromptKey,     // tokens of one captured prompt, as keys
  kVariant,       // variants of the job's interventions
  kIntervention,  // interventions of the job
  kQueryLatent,   // of the latent of queries
  kKeyLatent,     // of that of keys and values
  kHeadOutput,    // query heads x width of a value, head by head
  kValueChannel,  // key/value heads x width of a value
  kHeadValue,     // of one value
  kRole,          // whose words a token of a chat holds
  kFormat,        // formats of low precision that the job names
  kStoredRow,     // tokens whose activations are stored
  kStoredLayer,   // layers whose activations are stored
  kQuarter,       // bins of magnitudes (schema/quarter_octaves.h)
  kNamedChannel,  // channels that the job, or an earlier sweep, names
};

/// How a dataset of two parts (ranks, segments, files) becomes one.
enum class Merge {
  kRows,    // concatenated along its token, row or sequence axis, in corpus order
  kGather,  // concatenated along its event axis
  kSum,
  kMax,
  kMin,
  kOfMax,     // goes with the maximum that it names: of the first part that has it
  kConstant,  // equal in all parts
  kDerived,   // computed anew from merged fields
};

/// Lengths of axes.
using Extents = std::map<Axis, int64_t>;

struct Dataset {
  std::string path;  // "residual/token_top_value"
  ElementType type;
  std::vector<Axis> axes;
  std::string units;  // "1" for counts and indices
  std::string long_name;
  Merge merge;
  std::optional<Axis> index_of =
      {};  // values count along this axis of the file: merging files adds offsets
  bool counts_documents =
      false;                 // values are document numbers: merging files adds the documents before
  std::string maximum = {};  // of Merge::kOfMax: the path of the maximum that it goes with
  double neutral = 0;        // a field's value where nothing was measured
};

/// Whether parts' values of the same shape become one, element by element.
bool is_field(const Dataset& dataset);

inline constexpr int64_t kClasses = 4;  // position 0, delimiter, weak-semantic word, other
inline constexpr int64_t kMagnitudeBins = 32640;
inline constexpr std::array<double, 3> kSinkThresholds = {0.2, 0.3, 0.8};

const char* name_of(Axis axis);
const char* name_of(Merge merge);
const char* name_of(ElementType type);
int64_t size_of(ElementType type);

/// Values of another width than queries and keys have axes of their own, and so have the outputs of
/// heads.
enum class ValueWidth { kOfKeys, kOwn };

/// What decides about datasets beside the job.
struct InputFacts {
  CorpusKind corpus = CorpusKind::kText;
  bool has_experts = false;
  int64_t registers = 0;  // register tokens of an image
  ValueWidth values = ValueWidth::kOfKeys;
  bool has_roles = false;     // of chats
  bool has_requests = false;  // of tasks
};

/// All datasets of the sweep file of a job, in the order of the file.
std::vector<Dataset> declare_datasets(const Job& job, const InputFacts& inputs = {});

}  // namespace actsweep
