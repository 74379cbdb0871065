#include "output/layout.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.h"

namespace actsweep {
namespace {

constexpr int64_t kLargestContiguousBytes = 64 * 1024;

bool is_long(Axis axis) {
  switch (axis) {
    case Axis::kToken:
    case Axis::kSequence:
    case Axis::kEvent:
    case Axis::kRow:
    case Axis::kStoredRow:
    case Axis::kFinding:
    case Axis::kVocabularyByte:
    case Axis::kVocabularyOffset:
      return true;
    default:
      return false;
  }
}

}  // namespace

const std::vector<Axis>& all_axes() {
  static const std::vector<Axis> axes = {
      Axis::kLayer,
      Axis::kToken,
      Axis::kSequence,
      Axis::kChannel,
      Axis::kOrder,
      Axis::kMagnitudeBin,
      Axis::kClass,
      Axis::kEvent,
      Axis::kRow,
      Axis::kVocabulary,
      Axis::kVocabularyOffset,
      Axis::kVocabularyByte,
      Axis::kPromptToken,
      Axis::kExpertChoice,
      Axis::kFinding,
      Axis::kFinalLayer,
      Axis::kQueryChannel,
      Axis::kKeyChannel,
      Axis::kNeuron,
      Axis::kHead,
      Axis::kKeyHead,
      Axis::kHeadChannel,
      Axis::kKeySet,
      Axis::kFormat,
      Axis::kSelection,
      Axis::kEpsilon,
      Axis::kExpert,
      Axis::kExpertNeuron,
      Axis::kRegister,
      Axis::kPromptKey,
      Axis::kVariant,
      Axis::kIntervention,
      Axis::kQueryLatent,
      Axis::kKeyLatent,
      Axis::kHeadOutput,
      Axis::kValueChannel,
      Axis::kHeadValue,
      Axis::kRole,
      Axis::kStoredRow,
      Axis::kStoredLayer,
      Axis::kQuarter,
      Axis::kNamedChannel,
  };
  return axes;
}

const std::vector<Axis>& concatenated_axes() {
  static const std::vector<Axis> axes = {Axis::kToken, Axis::kSequence, Axis::kRow, Axis::kEvent,
                                         Axis::kStoredRow};
  return axes;
}

std::vector<hsize_t> shape_of(const Dataset& dataset, const Extents& extents) {
  std::vector<hsize_t> shape;
  for (const Axis axis : dataset.axes) {
    const auto extent = extents.find(axis);
    ensure(extent != extents.end(), "every axis of a dataset has a length");
    shape.push_back(static_cast<hsize_t>(extent->second));
  }
  return shape;
}

int64_t element_count(const std::vector<hsize_t>& shape) {
  return static_cast<int64_t>(
      std::accumulate(shape.begin(), shape.end(), hsize_t{1}, std::multiplies<>()));
}

bool is_of_prompt(Axis axis) { return axis == Axis::kPromptToken || axis == Axis::kPromptKey; }

std::optional<size_t> concatenation_axis(const Dataset& dataset) {
  if (dataset.merge != Merge::kRows && dataset.merge != Merge::kGather) return {};
  const auto found = std::find_if(dataset.axes.begin(), dataset.axes.end(), [](Axis axis) {
    const auto& axes = concatenated_axes();
    return std::find(axes.begin(), axes.end(), axis) != axes.end();
  });
  ensure(found != dataset.axes.end(), "rows and events have an axis to concatenate along");
  return static_cast<size_t>(found - dataset.axes.begin());
}

bool is_outer(Axis axis) {
  return axis == Axis::kLayer || axis == Axis::kFinalLayer || axis == Axis::kVariant ||
         axis == Axis::kStoredLayer;
}

bool has_unknown_length(Axis axis) {
  return axis == Axis::kEvent || axis == Axis::kRow || axis == Axis::kStoredRow;
}

bool is_stored(const Dataset& dataset) {
  return !dataset.axes.empty() && dataset.axes.front() == Axis::kStoredRow;
}

int64_t chunk_rows(const Dataset& dataset, const std::vector<hsize_t>& shape) {
  if (!is_stored(dataset)) return kChunkRows;
  const int64_t row_bytes = byte_count(dataset, {shape.begin() + 1, shape.end()});
  const int64_t layers = shape.size() > 1 ? std::max<int64_t>(1, shape[1]) : 1;
  const int64_t fit = std::min(kStoredChunkBytes / std::max<int64_t>(1, row_bytes / layers),
                               kTileBytes / std::max<int64_t>(1, row_bytes));
  return std::clamp<int64_t>(fit, 1, kChunkRows);
}

std::vector<hsize_t> chunk_shape(const Dataset& dataset, const std::vector<hsize_t>& shape) {
  if (byte_count(dataset, shape) <= kLargestContiguousBytes) return {};
  std::vector<hsize_t> chunk = shape;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (is_outer(dataset.axes[i]) && shape.size() > 1) chunk[i] = 1;
    if (is_long(dataset.axes[i])) {
      chunk[i] = std::min<hsize_t>(shape[i], chunk_rows(dataset, shape));
    }
  }
  return chunk;
}

hid_t memory_type(ElementType type) {
  switch (type) {
    case ElementType::kUInt8:
      return H5T_NATIVE_UINT8;
    case ElementType::kUInt32:
      return H5T_NATIVE_UINT32;
    case ElementType::kUInt64:
      return H5T_NATIVE_UINT64;
    case ElementType::kInt64:
      return H5T_NATIVE_INT64;
    case ElementType::kBFloat16:
      return H5T_NATIVE_UINT16;
    case ElementType::kFloat32:
      return H5T_NATIVE_FLOAT;
    case ElementType::kFloat64:
      return H5T_NATIVE_DOUBLE;
  }
  return H5I_INVALID_HID;
}

hid_t file_type(ElementType type) {
  switch (type) {
    case ElementType::kUInt8:
      return H5T_STD_U8LE;
    case ElementType::kUInt32:
      return H5T_STD_U32LE;
    case ElementType::kUInt64:
      return H5T_STD_U64LE;
    case ElementType::kInt64:
      return H5T_STD_I64LE;
    case ElementType::kBFloat16:
      return H5T_STD_U16LE;
    case ElementType::kFloat32:
      return H5T_IEEE_F32LE;
    case ElementType::kFloat64:
      return H5T_IEEE_F64LE;
  }
  return H5I_INVALID_HID;
}

std::string scale_path(Axis axis) {
  const bool is_of_store = axis == Axis::kStoredRow || axis == Axis::kStoredLayer;
  return std::string(is_of_store ? "store/" : "") + name_of(axis);
}

std::string scale_path(const Dataset& dataset, Axis axis) {
  if (!is_of_prompt(axis)) return scale_path(axis);
  return dataset.path.substr(0, dataset.path.rfind('/') + 1) + name_of(axis);
}

std::vector<Dataset> segment_datasets(const std::vector<Dataset>& datasets) {
  std::vector<Dataset> chosen;
  std::copy_if(datasets.begin(), datasets.end(), std::back_inserter(chosen), [](const Dataset& d) {
    return d.merge != Merge::kConstant && d.merge != Merge::kDerived;
  });
  return chosen;
}

std::vector<Dataset> shared_datasets(const std::vector<Dataset>& datasets) {
  std::vector<Dataset> chosen;
  std::copy_if(datasets.begin(), datasets.end(), std::back_inserter(chosen),
               [](const Dataset& d) { return concatenation_axis(d).has_value(); });
  return chosen;
}

std::vector<Dataset> capture_datasets(const std::vector<Dataset>& datasets,
                                      const std::string& prompt) {
  const std::string group = "capture/" + prompt + "/";
  std::vector<Dataset> chosen;
  std::copy_if(datasets.begin(), datasets.end(), std::back_inserter(chosen),
               [&](const Dataset& d) { return d.path.starts_with(group); });
  return chosen;
}

}  // namespace actsweep
