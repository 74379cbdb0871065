#include "output/segment_file.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <system_error>

#include "output/durable.h"
#include "output/process.h"

namespace actsweep {
namespace {

constexpr const char* kPrefix = kSegmentPrefix;
constexpr const char* kSuffix = ".h5";
constexpr int64_t kHeldBytes = 4 * 1024 * 1024;

bool has_unknown_length(const Dataset& dataset) {
  return std::any_of(dataset.axes.begin(), dataset.axes.end(),
                     [](Axis axis) { return has_unknown_length(axis); });
}

std::vector<hsize_t> to_sizes(const std::vector<int64_t>& values) {
  return {values.begin(), values.end()};
}

/// Contiguous and never filled: every element is written once.
H5Dataset create_contiguous(const H5File& file, const Dataset& dataset, const Extents& extents) {
  const H5Id creation = make_property_list(H5P_DATASET_CREATE);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
  return file.create_dataset(dataset.path, file_type(dataset.type), shape_of(dataset, extents),
                             creation.get());
}

/// The names in the folder that end so, in order; none where the folder is missing.
std::vector<std::string> names_ending_with(const std::string& folder, const std::string& suffix) {
  std::error_code error;
  std::vector<std::string> names;
  if (!std::filesystem::exists(folder, error)) return names;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.starts_with(kPrefix) && name.ends_with(suffix)) names.push_back(name);
  }
  require(!error, ErrorKind::kOutput, "{}: cannot list the folder: {}", folder, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

FoundSegment inspect(const std::string& path) {
  const H5File file = H5File::open(path, ErrorKind::kOutput);
  FoundSegment found{file.read_int("segment"), path, file.read_text("identity"),
                     file.read_text("device")};
  const std::string expected = fmt::format("{}{:06}{}", kPrefix, found.number, kSuffix);
  const std::string name = std::filesystem::path(path).filename();
  require(name == expected, ErrorKind::kOutput, "{}: holds segment {}, whose name is {}", path,
          found.number, expected);
  return found;
}

}  // namespace

SegmentFile::SegmentFile(const std::string& folder, int64_t number,
                         const std::vector<Dataset>& datasets, Extents extents,
                         std::vector<Attribute> attributes)
    : number_(number),
      path_(fmt::format("{}/{}{:06}{}", folder, kPrefix, number, kSuffix)),
      partial_path_(partial_of(path_)),
      extents_(std::move(extents)),
      attributes_(std::move(attributes)) {
  make_folder(folder);
  file_ = H5File::create(partial_path_, ErrorKind::kOutput);
  for (const auto& dataset : datasets) {
    Column& column = columns_[dataset.path];
    column.dataset = dataset;
    if (!has_unknown_length(dataset)) column.file = create_contiguous(file_, dataset, extents_);
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
  ensure(!has_unknown_length(target.dataset), "datasets of unknown length are appended to");
  ensure(offset.size() == target.dataset.axes.size() && count.size() == offset.size(),
         "offset and count have one entry for each axis");
  const Hyperslab part{to_sizes(offset), to_sizes(count)};
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
  ensure(has_unknown_length(target.dataset), "only datasets of unknown length are appended to");
  Extents extents = extents_;
  extents[Axis::kEvent] = extents[Axis::kRow] = count;
  const auto bytes =
      static_cast<size_t>(byte_count(target.dataset, shape_of(target.dataset, extents)));
  const auto* first = static_cast<const std::byte*>(values);
  target.parts.push_back({count, std::vector<std::byte>(first, first + bytes)});
}

void SegmentFile::write_appended(Column& target) {
  const auto axis = concatenation_axis(target.dataset);
  ensure(axis.has_value(), "a dataset of unknown length merges by rows or gather");
  const int64_t total =
      std::accumulate(target.parts.begin(), target.parts.end(), int64_t{0},
                      [](int64_t sum, const Appended& part) { return sum + part.count; });
  const auto [known, is_first] = extents_.try_emplace(target.dataset.axes[*axis], total);
  ensure(is_first || known->second == total, "all columns of an axis have the same length");
  target.file = create_contiguous(file_, target.dataset, extents_);
  Hyperslab place{std::vector<hsize_t>(target.dataset.axes.size(), 0),
                  shape_of(target.dataset, extents_)};
  for (const auto& part : target.parts) {
    place.count[*axis] = static_cast<hsize_t>(part.count);
    target.file.write(memory_type(target.dataset.type), place, part.values.data());
    target.elements_written += element_count(place.count);
    place.offset[*axis] += place.count[*axis];
  }
  target.parts.clear();
}

void SegmentFile::check_complete() const {
  for (const auto& [path, column] : columns_) {
    const int64_t expected = element_count(shape_of(column.dataset, extents_));
    if (column.elements_written == expected) continue;
    const std::string claim = fmt::format("segment {} has {} of {} elements of {}", number_,
                                          column.elements_written, expected, path);
    ensure(false, claim.c_str());
  }
}

void SegmentFile::step(std::string_view word, const StepHook& on_step) const {
  spdlog::debug("segment {}: {}", number_, word);
  if (on_step) on_step(word);
}

void SegmentFile::commit(const StepHook& on_step) {
  for (auto& [path, column] : columns_) {
    if (has_unknown_length(column.dataset)) write_appended(column);
  }
  check_complete();
  file_.write_attribute({"segment", number_});
  for (const auto& attribute : attributes_) file_.write_attribute(attribute);
  columns_.clear();
  file_.close();
  step("written", on_step);
  sync_path(partial_path_);
  step("fsynced", on_step);
  rename_file(partial_path_, path_);
  is_committed_ = true;
  step("renamed", on_step);
  sync_path(folder_of(path_));
  step("committed", on_step);
}

std::optional<int64_t> number_of_unfinished(const std::string& name) {
  const std::string_view prefix = kSegmentPrefix;
  int64_t number = 0;
  if (!name.starts_with(prefix)) return std::nullopt;
  const auto read = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
  if (read.ec != std::errc()) return std::nullopt;
  const auto whole = name.substr(0, read.ptr - name.data()) + kSuffix;
  return is_partial_of(name, whole) ? std::optional(number) : std::nullopt;
}

std::vector<FoundSegment> find_segments(const std::string& folder) {
  std::vector<FoundSegment> found;
  for (const auto& name : names_ending_with(folder, kSuffix)) {
    found.push_back(inspect(folder + "/" + name));
  }
  return found;
}

}  // namespace actsweep
