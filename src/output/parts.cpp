#include "output/parts.h"

#include <algorithm>

#include "output/row_place.h"

namespace actsweep {
namespace {

/// The number of documents before which a finished file's document numbers stand; segments need
/// none.
int64_t documents_of(const H5File& file) {
  return file.has_attribute("num_documents") ? file.read_int("num_documents") : 0;
}

/// What a file holds along the concatenated axes, from the shapes of its datasets.
RowCounts measure(Parts& parts, PartFile file, const std::vector<Dataset>& datasets,
                  const Extents& extents) {
  RowCounts counts;
  Extents known = extents;
  for (const auto& dataset : datasets) {
    const auto axis = concatenation_axis(dataset);
    if (file.member > 0 && !axis) continue;  // member 0's alone
    const H5Dataset opened = parts.dataset(file, dataset, known);
    if (!axis) continue;
    const Axis along = dataset.axes[*axis];
    counts.along(along) = static_cast<int64_t>(opened.shape()[*axis]) - padding_of(opened);
    known[along] = counts.along(along);
  }
  return counts;
}

PartLengths measure_members(Parts& parts, size_t part, const std::vector<Dataset>& datasets,
                            const Extents& extents) {
  PartLengths lengths;
  lengths.documents = documents_of(parts.file({part}));
  lengths.members = members_of(parts.file({part}));
  lengths.is_segment = 1;
  for (int64_t member = 0; member < lengths.members; ++member) {
    const PartFile file{part, member};
    const auto found = measure(parts, file, datasets, extents);
    lengths.counts += found;
    if (lengths.members == 1) continue;
    require(sum_of(parts.counts(part, lengths.members)[member]) == found, ErrorKind::kOutput,
            "{}: its datasets are not as long as its micro-batches together", parts.path(file));
  }
  return lengths;
}

}  // namespace

const H5File& Parts::file(PartFile of) {
  auto found = std::find_if(open_.begin(), open_.end(),
                            [&](const auto& entry) { return entry.first == of; });
  if (found == open_.end()) {
    open_.emplace_front(of, H5File::open(path(of), ErrorKind::kOutput));
    if (open_.size() > kept_open_) open_.pop_back();
  } else {
    open_.splice(open_.begin(), open_, found);
  }
  return open_.front().second;
}

const MemberCounts& Parts::counts(size_t part, int64_t members) {
  const auto [known, is_first] = counts_.try_emplace(part);
  if (!is_first) return known->second;
  kept_open_ = std::max(kept_open_, 2 * static_cast<size_t>(members));
  for (int64_t member = 0; member < members; ++member) {
    known->second.push_back(read_counts(file({part, member})));
    const auto found = known->second.back().size(), expected = known->second.front().size();
    require(found == expected, ErrorKind::kOutput, "{}: has {} micro-batches, its segment has {}",
            path({part, member}), found, expected);
  }
  return known->second;
}

H5Dataset Parts::dataset(PartFile of, const Dataset& declared, const Extents& known) {
  const H5File& from = file(of);
  require(from.contains(declared.path), ErrorKind::kOutput, "{}: has no dataset /{}", path(of),
          declared.path);
  H5Dataset dataset = from.dataset(declared.path);
  const bool has_type = H5Tequal(dataset.type().get(), file_type(declared.type)) > 0;
  require(has_type, ErrorKind::kOutput, "{}: /{} is not of type {}", path(of), declared.path,
          name_of(declared.type));
  std::vector<hsize_t> shape = dataset.shape();
  require(shape.size() == declared.axes.size(), ErrorKind::kOutput,
          "{}: /{} has {} axes, expected {}", path(of), declared.path, shape.size(),
          declared.axes.size());
  const auto axis = concatenation_axis(declared);
  if (axis) shape[*axis] -= std::min<hsize_t>(shape[*axis], padding_of(dataset));
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto length = known.find(declared.axes[i]);
    if (length == known.end()) continue;
    require(shape[i] == static_cast<hsize_t>(length->second), ErrorKind::kOutput,
            "{}: /{} has length {} along {}, expected {}", path(of), declared.path, shape[i],
            name_of(declared.axes[i]), length->second);
  }
  return dataset;
}

std::vector<PartLengths> survey(Parts& parts, const std::vector<Dataset>& datasets,
                                const Extents& extents) {
  Extents fixed = extents;  // the lengths that a part shares with the whole
  for (const Axis axis : concatenated_axes()) fixed.erase(axis);
  const std::vector<Dataset> of_segment = segment_datasets(datasets);
  std::vector<PartLengths> lengths(parts.count());
  for (size_t part = 0; part < parts.count(); ++part) {
    const bool is_segment =
        std::any_of(of_segment.begin(), of_segment.end(),
                    [&](const Dataset& dataset) { return parts.contains(part, dataset); });
    if (is_segment) lengths[part] = measure_members(parts, part, of_segment, fixed);
  }
  return lengths;
}

std::vector<RowRun> runs_of(Parts& parts, size_t part, const PartLengths& lengths, Axis along) {
  if (lengths.members == 1) return {{0, 0, 0, lengths.counts.along(along)}};
  return row_runs(parts.counts(part, lengths.members), along);
}

PartLengths total_of(const std::vector<PartLengths>& lengths, size_t count) {
  PartLengths total;
  for (size_t part = 0; part < count; ++part) {
    total.counts += lengths[part].counts;
    total.documents += lengths[part].documents;
  }
  return total;
}

void add_offset(const Dataset& dataset, const std::vector<PartLengths>& lengths, size_t part,
                std::span<std::byte> values) {
  if (!dataset.index_of && !dataset.counts_documents) return;
  ensure(dataset.type == ElementType::kInt64, "values that count along an axis are int64");
  const PartLengths before = total_of(lengths, part);
  const int64_t offset =
      dataset.index_of ? before.counts.along(*dataset.index_of) : before.documents;
  auto* numbers = reinterpret_cast<int64_t*>(values.data());
  for (size_t i = 0; i < values.size() / sizeof(int64_t); ++i) {
    if (numbers[i] >= 0) numbers[i] += offset;
  }
}

}  // namespace actsweep
