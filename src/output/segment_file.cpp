#include "output/segment_file.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "output/durable.h"
#include "output/process.h"

namespace actsweep {
namespace {

constexpr int64_t kHeldBytes = 4 * 1024 * 1024;

std::vector<hsize_t> to_sizes(const std::vector<int64_t>& values) {
  return {values.begin(), values.end()};
}

bool has_lengths(const Dataset& dataset, const Extents& extents) {
  return std::all_of(dataset.axes.begin(), dataset.axes.end(),
                     [&](Axis axis) { return extents.contains(axis); });
}

/// Contiguous and never filled: every element is written once.
H5Dataset create_contiguous(const H5File& file, const Dataset& dataset, const Extents& extents) {
  const H5Id creation = make_property_list(H5P_DATASET_CREATE);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  return file.create_dataset(dataset.path, file_type(dataset.type), shape_of(dataset, extents),
                             creation.get());
}

/// In chunks of one layer, so that neither layer after layer nor row after row is scattered.
H5Dataset create_stored(const H5File& file, const Dataset& dataset, Extents extents) {
  extents.try_emplace(Axis::kStoredRow, 0);  // unknown: it grows
  const auto shape = shape_of(dataset, extents);
  std::vector<hsize_t> chunk(shape.size(), 1);
  chunk.front() = static_cast<hsize_t>(chunk_rows(dataset, shape));
  if (shape.size() > 2) chunk.back() = shape.back();
  const H5Id creation = make_property_list(H5P_DATASET_CREATE);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data());
  return file.create_growing(dataset.path, file_type(dataset.type), shape, creation.get());
}

/// The names of segments in the folder, in order; none where the folder is missing.
std::vector<std::string> names_of_segments(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> names;
  if (!std::filesystem::exists(folder, error)) return names;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.starts_with(kSegmentPrefix) && name.ends_with(kSegmentSuffix)) names.push_back(name);
  }
  require(!error, ErrorKind::kOutput, "{}: cannot list the folder: {}", folder, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

/// A part of a committed segment: it is there, whole, and this segment's.
void inspect_part(const FoundSegment& segment, int64_t member) {
  const auto path = path_of_part(segment.path, member);
  const H5File file = H5File::open(path, ErrorKind::kOutput);
  const int64_t number = file.read_int("segment"), part = file.read_int("part");
  require(number == segment.number && part == member, ErrorKind::kOutput,
          "{}: holds part {} of segment {}, expected part {} of segment {}", path, part, number,
          member, segment.number);
  require(file.read_text("identity") == segment.identity, ErrorKind::kOutput,
          "{}: made by another job than its segment, {}", path, segment.path);
}

FoundSegment inspect(const std::string& path) {
  const H5File file = H5File::open(path, ErrorKind::kOutput);
  FoundSegment found{file.read_int("segment"), path, file.read_text("identity"),
                     file.read_text("device")};
  const std::string expected = name_of({found.number});
  const std::string name = std::filesystem::path(path).filename();
  require(name == expected, ErrorKind::kOutput, "{}: holds segment {}, whose name is {}", path,
          found.number, expected);
  for (int64_t member = 1; member < members_of(file); ++member) inspect_part(found, member);
  return found;
}

}  // namespace

SegmentFile::SegmentFile(const std::string& folder, const SegmentPart& part,
                         const std::vector<Dataset>& datasets, Extents extents,
                         std::vector<Attribute> attributes)
    : part_(part),
      path_(folder + "/" + name_of(part)),
      partial_path_(partial_of(path_)),
      extents_(std::move(extents)),
      attributes_(std::move(attributes)) {
  make_folder(folder);
  file_ = H5File::create(partial_path_, ErrorKind::kOutput);
  for (const auto& dataset : datasets) {
    Column& column = columns_[dataset.path];
    column.dataset = dataset;
    column.has_length = has_lengths(dataset, extents_);
    if (is_stored(dataset)) {
      column.file = create_stored(file_, dataset, extents_);
    } else if (column.has_length) {
      column.file = create_contiguous(file_, dataset, extents_);
    }
  }
}

SegmentFile::~SegmentFile() {
  if (is_committed_) return;
  columns_.clear();
  file_.abandon();
  std::remove(partial_path_.c_str());
}

SegmentFile::Column& SegmentFile::column(const std::string& path) {
  const auto found = columns_.find(path);
  ensure(found != columns_.end(), "a segment is given values of its own datasets alone");
  return found->second;
}

void SegmentFile::write(const std::string& path, const std::vector<int64_t>& offset,
                        const std::vector<int64_t>& count, const void* values) {
  Column& target = column(path);
  ensure(target.has_length, "datasets of unknown length are appended to");
  ensure(offset.size() == target.dataset.axes.size() && count.size() == offset.size(),
         "offset and count have one entry for each axis");
  write_part(target, {to_sizes(offset), to_sizes(count)}, values);
}

void SegmentFile::write_part(Column& target, const Hyperslab& part, const void* values) {
  target.file.write(memory_type(target.dataset.type), part, values);
  const int64_t elements = element_count(part.count);
  target.elements_written += elements;
  held_bytes_ += elements * size_of(target.dataset.type);
  if (held_bytes_ < kHeldBytes) return;
  start_writing(partial_path_);
  held_bytes_ = 0;
}

void SegmentFile::append(const std::string& path, int64_t count, const void* values) {
  Column& target = column(path);
  ensure(!target.has_length, "only datasets of unknown length are appended to");
  Extents extents = extents_;
  for (const Axis axis : concatenated_axes()) extents.try_emplace(axis, count);
  const auto shape = shape_of(target.dataset, extents);
  if (is_stored(target.dataset)) {
    Hyperslab place{std::vector<hsize_t>(shape.size(), 0), shape};
    place.offset.front() = static_cast<hsize_t>(target.appended);
    target.file.extend(place.offset.front() + shape.front());
    write_part(target, place, values);
  } else {
    const auto* first = static_cast<const std::byte*>(values);
    target.parts.push_back({count, {first, first + byte_count(target.dataset, shape)}});
  }
  target.appended += count;
}

void SegmentFile::write_appended(Column& target) {
  const auto axis = concatenation_axis(target.dataset);
  ensure(axis.has_value(), "a dataset of unknown length merges by rows or gather");
  const auto [known, is_first] = extents_.try_emplace(target.dataset.axes[*axis], target.appended);
  ensure(is_first || known->second == target.appended,
         "all columns of an axis have the same length");
  if (is_stored(target.dataset)) return;  // they are written
  target.file = create_contiguous(file_, target.dataset, extents_);
  Hyperslab place{std::vector<hsize_t>(target.dataset.axes.size(), 0),
                  shape_of(target.dataset, extents_)};
  for (const auto& part : target.parts) {
    place.count[*axis] = static_cast<hsize_t>(part.count);
    write_part(target, place, part.values.data());
    place.offset[*axis] += place.count[*axis];
  }
  target.parts.clear();
}

void SegmentFile::check_complete() const {
  for (const auto& [path, column] : columns_) {
    const int64_t expected = element_count(shape_of(column.dataset, extents_));
    if (column.elements_written == expected) continue;
    const std::string claim = fmt::format("{} has {} of {} elements of {}", words_of(part_),
                                          column.elements_written, expected, path);
    ensure(false, claim.c_str());
  }
}

void SegmentFile::check_counts(const RowCounts& counted) const {
  for (const Axis axis : concatenated_axes()) {
    const auto length = extents_.find(axis);
    const bool is_counted = length == extents_.end() || length->second == counted.along(axis);
    ensure(is_counted, "a file's micro-batches add up to its rows");
  }
}

void SegmentFile::step(std::string_view word, const StepHook& on_step) const {
  spdlog::debug("{}: {}", words_of(part_), word);
  if (on_step) on_step(word);
}

void SegmentFile::finish(std::span<const RowCounts> of_microbatches, const StepHook& on_step) {
  for (auto& [path, column] : columns_) {
    if (!column.has_length) write_appended(column);
  }
  check_complete();
  if (!of_microbatches.empty()) {
    check_counts(sum_of(of_microbatches));
    write_counts(file_, of_microbatches);
  }
  file_.write_attribute({"segment", part_.number});
  file_.write_attribute({"part", part_.member});
  file_.write_attribute({"parts", part_.members});
  for (const auto& attribute : attributes_) file_.write_attribute(attribute);
  columns_.clear();
  file_.close();
  step("written", on_step);
  sync_path(partial_path_);
  step("fsynced", on_step);
}

void SegmentFile::commit(const StepHook& on_step) {
  ensure(columns_.empty(), "a file is finished before it is committed");
  rename_file(partial_path_, path_);
  is_committed_ = true;
  step("renamed", on_step);
  sync_path(folder_of(path_));
  step("committed", on_step);
}

std::vector<FoundSegment> find_segments(const std::string& folder) {
  std::vector<FoundSegment> found;
  for (const auto& name : names_of_segments(folder)) {
    found.push_back(inspect(folder + "/" + name));
  }
  return found;
}

}  // namespace actsweep
