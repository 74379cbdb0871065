#include "output/parts.h"

#include <algorithm>
#include <map>

namespace actsweep {
namespace {

/// The number of documents before which a finished file's document numbers stand; segments need
/// none.
int64_t documents_of(const H5File& file) {
  return file.has_attribute("num_documents") ? file.read_int("num_documents") : 0;
}

PartLengths measure(Parts& parts, size_t part, const std::vector<Dataset>& datasets,
                    const Extents& extents) {
  PartLengths lengths;
  lengths.documents = documents_of(parts.file(part));
  Extents known = extents;
  std::map<Axis, std::string> measured_by;
  for (const auto& dataset : datasets) {
    const H5Dataset opened = parts.dataset(part, dataset, known);
    const auto axis = concatenation_axis(dataset);
    if (!axis) continue;
    const Axis along = dataset.axes[*axis];
    lengths.along(along) = static_cast<int64_t>(opened.shape()[*axis]);
    known[along] = lengths.along(along);
  }
  lengths.is_segment = 1;
  return lengths;
}

}  // namespace

int64_t& PartLengths::along(Axis axis) {
  switch (axis) {
    case Axis::kToken:
      return tokens;
    case Axis::kSequence:
      return sequences;
    case Axis::kRow:
      return rows;
    default:
      ensure(axis == Axis::kEvent, "parts are concatenated along tokens, sequences, rows, events");
      return events;
  }
}

const H5File& Parts::file(size_t part) {
  auto found = std::find_if(open_.begin(), open_.end(),
                            [&](const auto& entry) { return entry.first == part; });
  if (found == open_.end()) {
    open_.emplace_front(part, H5File::open(paths_[part], ErrorKind::kOutput));
    if (open_.size() > kOpenParts) open_.pop_back();
  } else {
    open_.splice(open_.begin(), open_, found);
  }
  return open_.front().second;
}

H5Dataset Parts::dataset(size_t part, const Dataset& declared, const Extents& known) {
  const H5File& from = file(part);
  require(from.contains(declared.path), ErrorKind::kOutput, "{}: has no dataset /{}", path(part),
          declared.path);
  H5Dataset dataset = from.dataset(declared.path);
  const bool has_type = H5Tequal(dataset.type().get(), file_type(declared.type)) > 0;
  require(has_type, ErrorKind::kOutput, "{}: /{} is not of type {}", path(part), declared.path,
          name_of(declared.type));
  const std::vector<hsize_t> shape = dataset.shape();
  require(shape.size() == declared.axes.size(), ErrorKind::kOutput,
          "{}: /{} has {} axes, expected {}", path(part), declared.path, shape.size(),
          declared.axes.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto length = known.find(declared.axes[i]);
    if (length == known.end()) continue;
    require(shape[i] == static_cast<hsize_t>(length->second), ErrorKind::kOutput,
            "{}: /{} has length {} along {}, expected {}", path(part), declared.path, shape[i],
            name_of(declared.axes[i]), length->second);
  }
  return dataset;
}

std::vector<PartLengths> survey(Parts& parts, const std::vector<Dataset>& datasets,
                                const Extents& extents) {
  Extents fixed = extents;  // the lengths that a part shares with the whole
  for (const Axis axis : {Axis::kToken, Axis::kSequence, Axis::kRow, Axis::kEvent}) {
    fixed.erase(axis);
  }
  const std::vector<Dataset> of_segment = segment_datasets(datasets);
  std::vector<PartLengths> lengths(parts.count());
  for (size_t part = 0; part < parts.count(); ++part) {
    const bool is_segment =
        std::any_of(of_segment.begin(), of_segment.end(),
                    [&](const Dataset& dataset) { return parts.contains(part, dataset); });
    if (is_segment) lengths[part] = measure(parts, part, of_segment, fixed);
  }
  return lengths;
}

PartLengths total_of(const std::vector<PartLengths>& lengths, size_t count) {
  PartLengths total;
  for (size_t part = 0; part < count; ++part) {
    total.tokens += lengths[part].tokens;
    total.sequences += lengths[part].sequences;
    total.rows += lengths[part].rows;
    total.events += lengths[part].events;
    total.documents += lengths[part].documents;
  }
  return total;
}

}  // namespace actsweep
