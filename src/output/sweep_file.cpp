#include "output/sweep_file.h"

#include <fmt/format.h>
#include <hdf5_hl.h>

#include <map>

#include "output/linked_rows.h"

namespace actsweep {
namespace {

/// The words by which netCDF readers know a scale that has a length but no values.
constexpr const char* kScaleWithoutValues = "This is a netCDF dimension but not a netCDF variable.";

bool is_own_scale(const Dataset& dataset) {
  return dataset.axes.size() == 1 && scale_path(dataset, dataset.axes[0]) == dataset.path;
}

H5Dataset create_dataset(const H5File& file, const PlannedDataset& planned,
                         const PlaceHook& place) {
  const H5Id creation = make_property_list(H5P_DATASET_CREATE);
  H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);  // every element is written
  const std::vector<hsize_t> chunk = chunk_shape(planned.dataset, planned.shape);
  const bool is_placed = place && place(planned, creation);
  if (!is_placed && !chunk.empty()) set_chunks(creation, chunk);
  return file.create_dataset(planned.dataset.path, file_type(planned.dataset.type), planned.shape,
                             creation.get());
}

void describe(const H5Dataset& target, const Dataset& dataset) {
  target.write_attribute({"units", dataset.units});
  target.write_attribute({"long_name", dataset.long_name});
  target.write_attribute({"merge", std::string(name_of(dataset.merge))});
  if (dataset.type == ElementType::kBFloat16) {
    target.write_attribute({"bits_of", std::string(name_of(dataset.type))});
  }
  if (!dataset.maximum.empty()) target.write_attribute({"maximum", dataset.maximum});
  if (dataset.index_of) {
    target.write_attribute({"index_of", std::string(name_of(*dataset.index_of))});
  }
  if (dataset.counts_documents) target.write_attribute({"counts_documents", int64_t{1}});
}

/// Scales of the file, created when first asked for.
class Scales {
 public:
  explicit Scales(const H5File& file) : file_(file) {}

  void add(const std::string& path, H5Dataset dataset, const std::string& name) {
    dataset.check(H5DSset_scale(dataset.id(), name.c_str()), "make a dimension scale");
    scales_.emplace(path, std::move(dataset));
  }

  void attach(const H5Dataset& dataset, unsigned axis, const std::string& path, hsize_t length) {
    if (!scales_.contains(path)) {
      add(path, file_.create_dataset(path, H5T_IEEE_F32LE, {length}),
          fmt::format("{}{:10}", kScaleWithoutValues, length));
    }
    const H5Dataset& scale = scales_.at(path);
    ensure(scale.shape()[0] == length, "datasets agree on the length of an axis");
    dataset.check(H5DSattach_scale(dataset.id(), scale.id(), axis), "attach a dimension scale");
  }

 private:
  const H5File& file_;
  std::map<std::string, H5Dataset> scales_;
};

Axis axis_of(const H5Dataset& dataset, const std::string& scale) {
  for (const Axis axis : all_axes()) {
    if (!is_of_prompt(axis) && scale == scale_path(axis)) return axis;
  }
  if (scale.find('/') != std::string::npos) return Axis::kPromptToken;
  fail(dataset.kind(), "{}: /{} has an unknown axis '{}'", dataset.file(), dataset.path(), scale);
}

herr_t note_scale(hid_t, unsigned, hid_t scale, void* path) {
  char name[1024] = "";
  H5Iget_name(scale, name, sizeof name);
  *static_cast<std::string*>(path) = name + (name[0] == '/' ? 1 : 0);
  return 0;
}

std::vector<Axis> axes_of(const H5Dataset& dataset) {
  if (H5DSis_scale(dataset.id()) > 0) return {axis_of(dataset, dataset.path())};
  std::vector<Axis> axes;
  for (size_t i = 0; i < dataset.shape().size(); ++i) {
    std::string scale;
    dataset.check(
        H5DSiterate_scales(dataset.id(), static_cast<unsigned>(i), nullptr, note_scale, &scale),
        "read the dimension scales");
    axes.push_back(axis_of(dataset, scale));
  }
  return axes;
}

ElementType type_of(const H5Dataset& dataset) {
  const H5Id type = dataset.type();
  for (const ElementType known :
       {ElementType::kUInt8, ElementType::kUInt32, ElementType::kUInt64, ElementType::kInt64,
        ElementType::kBFloat16, ElementType::kFloat32, ElementType::kFloat64}) {
    if (H5Tequal(type.get(), file_type(known)) > 0) return known;
  }
  fail(dataset.kind(), "{}: /{} has a type that this schema does not use", dataset.file(),
       dataset.path());
}

Merge merge_of(const H5Dataset& dataset) {
  const std::string found = dataset.read_text("merge");
  for (const Merge merge : {Merge::kRows, Merge::kGather, Merge::kSum, Merge::kMax, Merge::kMin,
                            Merge::kOfMax, Merge::kConstant, Merge::kDerived}) {
    if (found == name_of(merge)) return merge;
  }
  fail(dataset.kind(), "{}: /{} has the unknown merge rule '{}'", dataset.file(), dataset.path(),
       found);
}

}  // namespace

void set_chunks(const H5Id& creation, const std::vector<hsize_t>& chunk) {
  H5Pset_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data());
  H5Pset_shuffle(creation.get());
  H5Pset_deflate(creation.get(), kDeflateLevel);
}

void create_outline(const H5File& file, const std::vector<PlannedDataset>& datasets,
                    const std::vector<Attribute>& root_attributes, const PlaceHook& place) {
  file.write_attribute({"schema", std::string(kSchema)});
  file.write_attribute({"schema_version", kSchemaVersion});
  for (const auto& attribute : root_attributes) file.write_attribute(attribute);
  Scales scales(file);
  for (const auto& planned : datasets) {
    if (!is_own_scale(planned.dataset)) continue;
    H5Dataset scale = create_dataset(file, planned, place);
    describe(scale, planned.dataset);
    scales.add(planned.dataset.path, std::move(scale), planned.dataset.path);
  }
  for (const auto& planned : datasets) {
    if (is_own_scale(planned.dataset)) continue;
    const H5Dataset created = create_dataset(file, planned, place);
    describe(created, planned.dataset);
    for (size_t i = 0; i < planned.shape.size(); ++i) {
      scales.attach(created, static_cast<unsigned>(i),
                    scale_path(planned.dataset, planned.dataset.axes[i]), planned.shape[i]);
    }
  }
}

H5File open_sweep(const std::string& path) {
  H5File file = H5File::open(path, ErrorKind::kOutput);
  require(file.has_attribute("schema"), ErrorKind::kOutput,
          "{}: not a sweep file: it has no root attribute 'schema'", path);
  const std::string schema = file.read_text("schema");
  require(schema == kSchema, ErrorKind::kOutput,
          "{}: not a sweep file: its schema is '{}', not '{}'", path, schema, kSchema);
  const int64_t version = file.read_int("schema_version");
  require(version == kSchemaVersion, ErrorKind::kOutput,
          "{}: has version {} of the schema, this program reads version {}", path, version,
          kSchemaVersion);
  const bool is_complete = file.has_attribute("complete") && file.read_int("complete") == 1;
  require(is_complete, ErrorKind::kOutput,
          "{}: not finished: its root attribute 'complete' is not 1", path);
  check_linked_files(file);
  return file;
}

std::vector<Dataset> datasets_of(const H5File& file) {
  std::vector<Dataset> datasets;
  for (const auto& path : file.dataset_paths()) {
    const H5Dataset found = file.dataset(path);
    if (!found.has_attribute("merge")) continue;  // a scale without values
    Dataset dataset{path,
                    type_of(found),
                    axes_of(found),
                    found.read_text("units"),
                    found.read_text("long_name"),
                    merge_of(found)};
    if (found.has_attribute("index_of")) {
      dataset.index_of = axis_of(found, found.read_text("index_of"));
    }
    if (found.has_attribute("maximum")) dataset.maximum = found.read_text("maximum");
    dataset.counts_documents = found.has_attribute("counts_documents");
    datasets.push_back(std::move(dataset));
  }
  return datasets;
}

Extents extents_of(const H5File& file) {
  Extents extents;
  for (const auto& path : file.dataset_paths()) {
    for (const Axis axis : all_axes()) {
      if (is_of_prompt(axis) || path != scale_path(axis)) continue;
      extents[axis] = static_cast<int64_t>(file.dataset(path).shape().at(0));
    }
  }
  return extents;
}

}  // namespace actsweep
