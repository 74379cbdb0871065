// The names of the declarations' words in the file, and the sizes of its types.
#include "schema/declare.h"

namespace actsweep {

using enum Axis;
using enum ElementType;

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
    case kExpertChoice:
      return "expert_choice";
    case kFinding:
      return "finding";
    case kFinalLayer:
      return "final_layer";
    case kQueryChannel:
      return "query_channel";
    case kKeyChannel:
      return "key_channel";
    case kNeuron:
      return "neuron";
    case kHead:
      return "head";
    case kKeyHead:
      return "kv_head";
    case kHeadChannel:
      return "head_channel";
    case kKeySet:
      return "key_set";
    case kSelection:
      return "selection";
    case kEpsilon:
      return "epsilon";
    case kExpert:
      return "expert";
    case kExpertNeuron:
      return "expert_neuron";
    case kRegister:
      return "register";
    case kPromptKey:
      return "key_token";
    case kVariant:
      return "variant";
    case kIntervention:
      return "intervention";
    case kQueryLatent:
      return "q_latent_channel";
    case kKeyLatent:
      return "kv_latent_channel";
    case kHeadOutput:
      return "head_output_channel";
    case kFormat:
      return "format";
    case kQuarter:
      return "quarter_octave";
    case kNamedChannel:
      return "lifecycle_channel";
    case kRole:
      return "role";
    case kValueChannel:
      return "value_channel";
    case kHeadValue:
      return "head_value_channel";
    case kStoredRow:
      return "row";
    case kStoredLayer:
      return "stored_layer";
  }
  return "";
}

bool is_field(const Dataset& dataset) {
  return dataset.merge == Merge::kSum || dataset.merge == Merge::kMax ||
         dataset.merge == Merge::kMin || dataset.merge == Merge::kOfMax;
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
    case Merge::kOfMax:
      return "of_max";
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
    case kBFloat16:
      return "bfloat16";
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
    case kBFloat16:
      return 2;
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
