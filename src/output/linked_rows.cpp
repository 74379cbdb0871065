#include "output/linked_rows.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "output/durable.h"
#include "output/row_place.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

/// By name their bytes.
nlohmann::json read_files(const H5File& file) {
  auto files = nlohmann::json::parse(file.read_text(kLinkedFiles), nullptr, false);
  const bool is_list =
      files.is_object() && std::all_of(files.begin(), files.end(),
                                       [](auto& entry) { return entry.is_number_integer(); });
  require(is_list, file.kind(), "{}: root attribute '{}': expected JSON with the bytes of files",
          file.file(), kLinkedFiles);
  return files;
}

/// What a reader sees where a file is missing: what no sweep writes, as far as there is such a
/// value.
void set_fill(const H5Id& creation, const Dataset& dataset) {
  const float not_a_number = std::numeric_limits<float>::quiet_NaN();
  const int64_t none = -1;
  switch (dataset.type) {
    case ElementType::kFloat32:
    case ElementType::kFloat64:
      H5Pset_fill_value(creation.get(), H5T_NATIVE_FLOAT, &not_a_number);
      break;
    case ElementType::kInt64:
      H5Pset_fill_value(creation.get(), H5T_NATIVE_INT64, &none);
      break;
    default:
      const uint64_t largest = dataset.type == ElementType::kUInt8    ? 0xff
                               : dataset.type == ElementType::kUInt32 ? 0xffffffff
                               : dataset.type == ElementType::kUInt64 ? ~uint64_t{0}
                                                                      : 0x7fc0;  // NaN's bits
      H5Pset_fill_value(creation.get(), H5T_NATIVE_UINT64, &largest);
  }
}

H5Id space_of(const std::vector<hsize_t>& shape) {
  return {H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose};
}

/// Rows [first, first + rows) of a space of this shape, added to what is selected.
void select_rows(const H5Id& space, const std::vector<hsize_t>& shape, size_t axis, hsize_t first,
                 hsize_t rows) {
  std::vector<hsize_t> offset(shape.size(), 0), count = shape;
  offset[axis] = first;
  count[axis] = rows;
  H5Sselect_hyperslab(space.get(), H5S_SELECT_OR, offset.data(), nullptr, count.data(), nullptr);
}

/// HDF5 keeps all files open from which it reads.
void open_so_many(size_t files) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const auto wanted = std::min<rlim_t>(limit.rlim_max, files + 256);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

RowLinks::RowLinks(const RowOrigin& origin, const std::vector<Dataset>& datasets,
                   const std::string& target)
    : folder_(folder_of(target)) {
  RowCounts before;
  for (size_t part = 0; part < origin.parts.count(); ++part) {
    const auto& lengths = origin.lengths[part];
    for (int64_t member = 0; lengths.is_segment != 0 && member < lengths.members; ++member) {
      add_file(origin, {part, member}, before, datasets);
    }
    before += lengths.counts;
  }
}

void RowLinks::add_file(const RowOrigin& origin, PartFile file, const RowCounts& before,
                        const std::vector<Dataset>& datasets) {
  const std::string path = origin.parts.path(file);
  const std::string name = fs::path(path).lexically_proximate(folder_);
  std::error_code error;
  bytes_[name] = static_cast<int64_t>(fs::file_size(path, error));
  require(!error, ErrorKind::kOutput, "{}: cannot ask for its size: {}", path, error.message());
  for (const auto& dataset : datasets) {
    const auto axis = concatenation_axis(dataset);
    if (!axis) continue;
    const Axis along = dataset.axes[*axis];
    Piece piece;
    for (auto run : runs_of(origin.parts, file.part, origin.lengths[file.part], along)) {
      if (run.member != file.member || run.rows == 0) continue;
      run.first += before.along(along);
      piece.runs.push_back(run);
    }
    if (piece.runs.empty()) continue;
    const H5Dataset found = origin.parts.file(file).dataset(dataset.path);
    piece.file = name;
    piece.shape = found.shape();
    piece.padding = static_cast<hsize_t>(padding_of(found));
    pieces_[dataset.path].push_back(std::move(piece));
  }
}

bool RowLinks::map(const PlannedDataset& planned, const H5Id& creation) const {
  const auto& [dataset, shape] = planned;
  const auto pieces = pieces_.find(dataset.path);
  if (pieces == pieces_.end()) return false;
  const size_t axis = *concatenation_axis(dataset);
  set_fill(creation, dataset);
  for (const auto& piece : pieces->second) {
    const H5Id target = space_of(shape), source = space_of(piece.shape);
    H5Sselect_none(target.get());
    H5Sselect_none(source.get());
    for (const auto& run : piece.runs) {
      select_rows(target, shape, axis, static_cast<hsize_t>(run.first),
                  static_cast<hsize_t>(run.rows));
    }
    select_rows(source, piece.shape, axis, piece.padding, piece.shape[axis] - piece.padding);
    const auto status = H5Pset_virtual(creation.get(), target.get(), piece.file.c_str(),
                                       dataset.path.c_str(), source.get());
    require(status >= 0, ErrorKind::kOutput, "{}: /{} cannot be linked", piece.file, dataset.path);
  }
  return true;
}

Attribute RowLinks::files() const { return {kLinkedFiles, nlohmann::json(bytes_).dump()}; }

bool is_of_file_itself(const std::string& attribute) {
  return attribute == "schema" || attribute == "schema_version" || attribute == "complete" ||
         attribute == kLinkedFiles;
}

bool is_linked(const H5File& file) { return file.has_attribute(kLinkedFiles); }

std::vector<std::string> linked_files(const H5File& file) {
  std::vector<std::string> names;
  const auto files = read_files(file);
  for (const auto& [name, bytes] : files.items()) names.push_back(name);
  return names;
}

void check_linked_files(const H5File& file) {
  if (!is_linked(file)) return;
  std::error_code ignored;
  const auto folder = fs::canonical(file.file(), ignored).parent_path();
  const auto files = read_files(file);
  open_so_many(files.size());
  for (const auto& [name, bytes] : files.items()) {
    std::error_code error;
    const std::string path = folder / name;
    const auto found = fs::file_size(path, error);
    const auto expected = bytes.get<uint64_t>();
    require(!error && found == expected, file.kind(),
            "{}: its rows lie in other files; {}: expected {} bytes, found {}; put it back, or "
            "remove {} and run its job again, which measures what is missing",
            file.file(), path, expected, error ? error.message() : fmt::format("{}", found),
            file.file());
  }
}

}  // namespace actsweep
