#include "output/segment_file.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "output/chunk_writer.h"
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

H5Id creation_of(const std::vector<hsize_t>& chunk) {
  H5Id creation = make_property_list(H5P_DATASET_CREATE);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);  // every element is written once
  if (!chunk.empty()) set_chunks(creation, chunk);
  return creation;
}

bool is_captured(const Dataset& dataset) {
  return std::any_of(dataset.axes.begin(), dataset.axes.end(), is_of_prompt);
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
                         std::vector<Attribute> attributes, const RowPlace& place)
    : part_(part),
      path_(folder + "/" + name_of(part)),
      partial_path_(partial_of(path_)),
      extents_(std::move(extents)),
      attributes_(std::move(attributes)),
      place_(place) {
  make_folder(folder);
  file_ = H5File::create(partial_path_, ErrorKind::kOutput);
  for (const auto& dataset : datasets) {
    Column& column = columns_[dataset.path];
    column.dataset = dataset;
    column.has_length = has_lengths(dataset, extents_);
    if (column.has_length || is_stored(dataset)) create(column);
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

/// The dataset's chunks, empty where it has none: those of the sweep file with their padding, where
/// one of them lies in this file whole, else its own.
SegmentFile::Grid SegmentFile::grid_of(const Dataset& dataset) const {
  if (is_captured(dataset)) return {};  // whose values come in an order of their own
  Extents extents = extents_;
  for (const Axis axis : concatenated_axes()) extents.try_emplace(axis, kChunkRows);
  const auto own = shape_of(dataset, extents);
  const auto axis = concatenation_axis(dataset);
  if (!axis) return {chunk_shape(dataset, own)};
  const Axis along = dataset.axes[*axis];
  const int64_t whole = place_.whole.along(along), before = place_.before.along(along);
  extents[along] = whole;
  const auto chunk = chunk_shape(dataset, shape_of(dataset, extents));
  if (chunk.empty()) return {chunk_shape(dataset, own)};
  const auto length = static_cast<int64_t>(chunk[*axis]);
  const int64_t first = (before + length - 1) / length * length;  // that begins here
  const int64_t end = before + static_cast<int64_t>(own[*axis]);
  const bool has_whole = first < end && std::min(first + length, whole) <= end;
  if (!has_whole) return {chunk_shape(dataset, own)};
  return {chunk, before % length};
}

/// Creates the dataset: of known length, or growing from none.
void SegmentFile::create(Column& target) {
  const auto& dataset = target.dataset;
  const auto [chunk, padding] = grid_of(dataset);
  const auto creation = creation_of(chunk);
  Extents extents = extents_;
  extents.try_emplace(Axis::kStoredRow, 0);
  auto shape = shape_of(dataset, extents);
  const auto axis = concatenation_axis(dataset);
  target.is_packed = !chunk.empty();
  if (chunk.empty() || !axis) {
    target.file =
        file_.create_dataset(dataset.path, file_type(dataset.type), shape, creation.get());
    return;
  }
  const auto rows = extents_.find(dataset.axes[*axis]);
  shape[*axis] += static_cast<hsize_t>(padding);
  target.file =
      file_.create_growing(dataset.path, file_type(dataset.type), shape, *axis, creation.get());
  write_padding(target.file, padding);
  target.rows.emplace(packer_, dataset, chunk, padding,
                      rows == extents_.end() ? std::nullopt : std::optional(rows->second));
}

void SegmentFile::write_part(Column& target, const Hyperslab& part, const void* values) {
  const auto& dataset = target.dataset;
  const auto* bytes = static_cast<const std::byte*>(values);
  const int64_t elements = element_count(part.count);
  target.elements_written += elements;
  if (elements == 0) return;
  if (target.rows) return write_packed(target, target.rows->add(part, bytes));
  const auto size = static_cast<size_t>(elements * size_of(dataset.type));
  if (target.is_packed) {
    constexpr int kAlone = 1;
    const PlannedDataset planned{dataset, shape_of(dataset, extents_)};
    return write_packed(target, pack_chunks(planned, part, {bytes, size}, kAlone));
  }
  target.file.write(memory_type(dataset.type), part, values);
  note_written(static_cast<int64_t>(size));
}

void SegmentFile::write_packed(const Column& target, const std::vector<PackedChunk>& chunks) {
  for (const auto& chunk : chunks) {
    target.file.write_chunk(chunk.offset, chunk.bytes);
    note_written(static_cast<int64_t>(chunk.bytes.size()));
  }
}

void SegmentFile::note_written(int64_t bytes) {
  held_bytes_ += bytes;
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
    target.file.set_length(0, place.offset.front() + shape.front());
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
  create(target);
  Hyperslab place{std::vector<hsize_t>(target.dataset.axes.size(), 0),
                  shape_of(target.dataset, extents_)};
  for (const auto& part : target.parts) {
    place.count[*axis] = static_cast<hsize_t>(part.count);
    write_part(target, place, part.values.data());
    place.offset[*axis] += place.count[*axis];
  }
  target.parts.clear();
}

int64_t SegmentFile::rows_of(const Column& of) const {
  return extents_.at(of.dataset.axes[*concatenation_axis(of.dataset)]);
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
  for (auto& [path, column] : columns_) {
    if (column.rows) write_packed(column, column.rows->finish(rows_of(column)));
  }
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
