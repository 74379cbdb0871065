#include "job/token_sample.h"
#include "plan/demand.h"
#include "schema/declare_statistics.h"
#include "schema/quarter_octaves.h"

namespace actsweep {

int64_t axis_length(const SweepFacts& facts, Axis axis) {
  switch (axis) {
    case Axis::kLayer:
      return facts.architecture.layers + 1;
    case Axis::kToken:
      return facts.tokens;
    case Axis::kSequence:
      return facts.sequences;
    case Axis::kChannel:
      return facts.architecture.channels;
    case Axis::kOrder:
      return facts.job.statistics.top_k;
    case Axis::kMagnitudeBin:
      return kMagnitudeBins;
    case Axis::kClass:
      return kClasses;
    case Axis::kRole:
      return kRoles;
    case Axis::kVocabulary:
      return facts.architecture.vocabulary;
    case Axis::kExpertChoice:
      return facts.architecture.experts.chosen;
    case Axis::kVocabularyOffset:
      return facts.architecture.vocabulary + 1;
    case Axis::kFinalLayer:
      return 1;
    case Axis::kQueryChannel:
      return facts.architecture.heads * facts.architecture.head_width;
    case Axis::kKeyChannel:
      return facts.architecture.kv_heads * facts.architecture.head_width;
    case Axis::kNeuron:
      return facts.architecture.dense_width();
    case Axis::kHead:
      return facts.architecture.heads;
    case Axis::kKeyHead:
      return facts.architecture.kv_heads;
    case Axis::kHeadChannel:
      return facts.architecture.head_width;
    case Axis::kKeySet:
      return static_cast<int64_t>(facts.job.statistics.attention.size());
    case Axis::kFormat:
      return static_cast<int64_t>(facts.job.statistics.formats.size());
    case Axis::kQuarter:
      return kQuarterOctaves;
    case Axis::kNamedChannel:
      return static_cast<int64_t>(facts.job.statistics.lifecycle_channels.size());
    case Axis::kSelection:
      return 2;
    case Axis::kEpsilon:
      return static_cast<int64_t>(kSinkThresholds.size());
    case Axis::kExpert:
      return facts.architecture.experts.count;
    case Axis::kExpertNeuron:
      return facts.architecture.experts.ffn_width;
    case Axis::kRegister:
      return facts.architecture.image.registers;
    case Axis::kVariant:
      return static_cast<int64_t>(facts.job.variants().size());
    case Axis::kQueryLatent:
      return facts.architecture.latent.query;
    case Axis::kKeyLatent:
      return facts.architecture.latent.key_value;
    case Axis::kHeadOutput:
      return facts.architecture.heads * axis_length(facts, Axis::kHeadValue);
    case Axis::kValueChannel:
      return facts.architecture.kv_heads * axis_length(facts, Axis::kHeadValue);
    case Axis::kHeadValue:
      return facts.architecture.has_value_width() ? facts.architecture.value_channels() : 0;
    case Axis::kIntervention:
      return static_cast<int64_t>(facts.job.interventions.size());
    case Axis::kStoredRow:
      return sample_of(facts.job.store).expected(facts.tokens);
    case Axis::kStoredLayer:
      return static_cast<int64_t>(stored_layers(facts.job.store, facts.architecture.layers).size());
    default:
      return 0;  // events, rows, prompts: unknown beforehand and small
  }
}

}  // namespace actsweep
