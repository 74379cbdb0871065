#include "output/consolidate.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "comm/agreement.h"
#include "comm/messages.h"
#include "comm/session.h"
#include "output/chunk_writer.h"
#include "output/durable.h"
#include "output/fields.h"
#include "output/linked_rows.h"
#include "output/parts.h"
#include "output/process.h"
#include "output/rows.h"
#include "output/sweep_file.h"

namespace actsweep {
namespace {

constexpr int64_t kIndexBytesPerChunk = 256;  // of the tree that finds chunks, generously
constexpr int64_t kSlackBytes = 64 * 1024;

bool is_capture(const Dataset& dataset) { return dataset.path.starts_with("capture/"); }

/// What the target's dataset has not yet. HDF5's own attributes, of dimension scales, stay.
void copy_attributes(const H5Dataset& from, const H5Dataset& to) {
  static const std::set<std::string> of_scales = {"CLASS", "NAME", "DIMENSION_LIST",
                                                  "REFERENCE_LIST"};
  for (const auto& name : from.attribute_names()) {
    if (of_scales.contains(name) || to.has_attribute(name)) continue;
    to.write_attribute({name, from.read_attribute(name)});
  }
}

/// Rank 0's own part of an assembly: everything but rows and events.
class Beginning {
 public:
  Beginning(const Assembly& assembly, Parts& parts, const std::vector<PartLengths>& lengths,
            Extents& extents, int threads)
      : assembly_(assembly),
        parts_(parts),
        lengths_(lengths),
        extents_(extents),
        threads_(threads) {}

  std::vector<PlannedDataset> write(const std::string& path) {
    if (assembly_.linked == nullptr) combine();
    std::vector<PlannedDataset> planned;
    for (const auto& dataset : assembly_.datasets) planned.push_back({dataset, shape(dataset)});

    make_folder(folder_of(path));
    H5File file = H5File::create(path, ErrorKind::kOutput);
    create_outlines(file, planned);
    for (const auto& entry : planned) {
      if (!concatenation_axis(entry.dataset)) write_values(file, entry);
    }
    write_attributes(file);
    file.close();
    if (!assembly_.links_rows) reserve_bytes(path, rows_bytes(planned));
    return planned;
  }

 private:
  void combine() {
    fields_ =
        merge_fields(parts_, lengths_, assembly_.datasets, extents_, assembly_.offset_indices);
    derived_ = assembly_.derive(fields_);
    extents_[Axis::kFinding] = derived_.findings;
  }

  void create_outlines(const H5File& file, const std::vector<PlannedDataset>& planned) {
    if (!assembly_.links_rows) return create_outline(file, planned, assembly_.attributes);
    const RowLinks links({parts_, lengths_}, assembly_.datasets, assembly_.target);
    auto attributes = assembly_.attributes;
    attributes.push_back(links.files());
    create_outline(file, planned, attributes,
                   [&](const PlannedDataset& entry, const H5Id& creation) {
                     return links.map(entry, creation);
                   });
  }

  /// Of datasets, beside those that describe them.
  void write_attributes(const H5File& file) const {
    for (const auto& [dataset, name, value] : derived_.attributes) {
      file.dataset(dataset).write_attribute({name, value});
    }
    if (assembly_.linked == nullptr) return;
    for (const auto& dataset : assembly_.datasets) {
      copy_attributes(assembly_.linked->dataset(dataset.path), file.dataset(dataset.path));
    }
  }

  /// The first part that holds a captured dataset.
  size_t capture_part(const Dataset& dataset) {
    for (size_t part = 0; part < parts_.count(); ++part) {
      if (parts_.contains(part, dataset)) return part;
    }
    fail(ErrorKind::kOutput, "{}: no part holds /{}", assembly_.target, dataset.path);
  }

  std::vector<hsize_t> shape(const Dataset& dataset) {
    if (!is_capture(dataset)) return shape_of(dataset, extents_);
    if (assembly_.linked != nullptr) return assembly_.linked->dataset(dataset.path).shape();
    return parts_.dataset({capture_part(dataset)}, dataset, extents_).shape();
  }

  /// Values that lie in a file as they are.
  std::vector<std::byte> read_values(const PlannedDataset& planned) {
    const auto& [dataset, shape] = planned;
    std::vector<std::byte> values(static_cast<size_t>(byte_count(dataset, shape)));
    const H5Dataset source = assembly_.linked != nullptr
                                 ? assembly_.linked->dataset(dataset.path)
                                 : parts_.dataset({capture_part(dataset)}, dataset, extents_);
    if (!values.empty()) source.read_all(memory_type(dataset.type), values.data());
    return values;
  }

  const std::vector<std::byte>& find_values(const Dataset& dataset) const {
    if (dataset.merge == Merge::kDerived) {
      const auto column = std::find_if(derived_.datasets.begin(), derived_.datasets.end(),
                                       [&](const Column& c) { return c.path == dataset.path; });
      ensure(column != derived_.datasets.end(), "every derived dataset is derived");
      return column->values;
    }
    const auto& source = dataset.merge == Merge::kConstant ? assembly_.constants : fields_.values;
    const auto values = source.find(dataset.path);
    const std::string claim = "an assembly has values for /" + dataset.path;
    ensure(values != source.end(), claim.c_str());
    return values->second;
  }

  void write_values(const H5File& file, const PlannedDataset& planned) {
    const Dataset& dataset = planned.dataset;
    const bool is_read = assembly_.linked != nullptr || is_capture(dataset);
    std::vector<std::byte> read;
    if (is_read) read = read_values(planned);
    const std::vector<std::byte>& values = is_read ? read : find_values(dataset);
    ensure(static_cast<int64_t>(values.size()) == byte_count(dataset, planned.shape),
           "an assembly's values fill their dataset");
    if (values.empty()) return;
    const H5Dataset target = file.dataset(dataset.path);
    if (planned.shape.empty()) return target.write_all(memory_type(dataset.type), values.data());
    const std::vector<hsize_t> begin(planned.shape.size(), 0);
    write_chunks(target, planned, {begin, planned.shape}, values, threads_);
  }

  /// Enough for rows and events: what they take in the parts, and a fifth for chunks that are cut
  /// anew; at most what they would take if nothing could be compressed.
  int64_t rows_bytes(const std::vector<PlannedDataset>& planned) {
    auto in_parts = stored_bytes(planned);
    int64_t bytes = kSlackBytes;
    for (const auto& [dataset, shape] : planned) {
      if (!concatenation_axis(dataset)) continue;
      const auto chunk = chunk_shape(dataset, shape);
      const int64_t most = byte_count(dataset, chunk.empty() ? shape : chunk);
      if (chunk.empty()) {
        bytes += most;
        continue;
      }
      int64_t chunks = 1;
      for (size_t i = 0; i < shape.size(); ++i) {
        chunks *= static_cast<int64_t>((shape[i] + chunk[i] - 1) / chunk[i]);
      }
      const int64_t found = in_parts[dataset.path];  // none of linked rows
      bytes += chunks * kIndexBytesPerChunk;
      bytes += found == 0 ? chunks * most : std::min(chunks * most, found * 6 / 5 + kSlackBytes);
    }
    return bytes;
  }

  /// Of each concatenated dataset, over all files of the parts.
  std::map<std::string, int64_t> stored_bytes(const std::vector<PlannedDataset>& planned) {
    std::map<std::string, int64_t> bytes;
    for (size_t part = 0; part < parts_.count(); ++part) {
      for (int64_t member = 0; member < lengths_[part].members; ++member) {
        if (lengths_[part].is_segment == 0) continue;
        const H5File& file = parts_.file({part, member});
        for (const auto& [dataset, shape] : planned) {
          if (!concatenation_axis(dataset)) continue;
          bytes[dataset.path] += file.dataset(dataset.path).stored_bytes();
        }
      }
    }
    return bytes;
  }

  const Assembly& assembly_;
  Parts& parts_;
  const std::vector<PartLengths>& lengths_;
  Extents& extents_;
  int threads_;
  MergedFields fields_;
  Derived derived_;
};

/// Collective. Rank 0 measures the parts; every rank gets the lengths.
std::vector<PartLengths> measure_parts(const Assembly& assembly, Parts& parts, MPI_Comm comm) {
  std::vector<PartLengths> lengths(parts.count());
  agree(comm, [&] {
    if (rank_in(comm) == 0) lengths = survey(parts, assembly.datasets, assembly.extents);
  });
  check_mpi(MPI_Bcast(lengths.data(), static_cast<int>(lengths.size() * sizeof(PartLengths)),
                      MPI_BYTE, 0, comm),
            "MPI_Bcast");
  return lengths;
}

Extents final_extents(const Assembly& assembly, const std::vector<PartLengths>& lengths) {
  const RowCounts total = total_of(lengths, lengths.size()).counts;
  Extents extents = assembly.extents;
  for (const Axis axis : {Axis::kToken, Axis::kSequence}) {
    require(total.along(axis) == extents.at(axis), ErrorKind::kOutput,
            "{}: its {} parts hold {} along {}, expected {}", assembly.target,
            assembly.parts.size(), total.along(axis), name_of(axis), extents.at(axis));
  }
  for (const Axis axis : concatenated_axes()) extents[axis] = total.along(axis);
  return extents;
}

/// Collective. The concatenated datasets, one after the other, into the file that rank 0 has open;
/// all of their bytes are on the disk.
void write_rows(const Assembly& assembly, const H5File& file, RowWriter writer,
                const Extents& extents, MPI_Comm comm) {
  const bool is_first = rank_in(comm) == 0;
  for (const auto& dataset : assembly.datasets) {
    if (!concatenation_axis(dataset)) continue;
    writer.write(file, dataset, extents);
    if (is_first) start_writing(file.file());
  }
  agree(comm, [&] {
    if (is_first) sync_path(file.file());
  });
}

/// Collective. Rank 0's own name, under which all ranks write.
std::string name_of_partial(const std::string& target, MPI_Comm comm) {
  std::string name = partial_of(target);
  broadcast(name, comm);
  return name;
}

/// Opens the finished file as any reader will: what it says it holds is there.
void check_whole(const std::string& path, const std::vector<PlannedDataset>& planned) {
  const H5File file = open_sweep(path);
  for (const auto& [declared, shape] : planned) {
    require(file.contains(declared.path), ErrorKind::kOutput,
            "{}: was written, but lacks /{}; its segments stay", path, declared.path);
    const H5Dataset dataset = file.dataset(declared.path);
    require(dataset.shape() == shape && dataset.is_whole(), ErrorKind::kOutput,
            "{}: was written, but /{} is not whole; its segments stay", path, declared.path);
  }
}

void mark_complete(const std::string& path) {
  H5File file = H5File::open_for_writing(path, ErrorKind::kOutput);
  file.write_attribute({"complete", int64_t{1}});
  file.close();
  release_reserve(path);
}

}  // namespace

void assemble(const Assembly& assembly, MPI_Comm comm) {
  const int rank = rank_in(comm);
  const std::string partial = name_of_partial(assembly.target, comm);
  const auto on_first_rank = [&](const std::function<void()>& work) {
    agree(comm, [&] {
      if (rank == 0) work();
    });
  };
  const auto step = [&](std::string_view word) {
    if (rank == 0) spdlog::debug("consolidation: {}", word);
    if (assembly.on_step) assembly.on_step(word);
    if (assembly.on_progress) assembly.on_progress();
  };

  const int threads = threads_per_rank(comm);
  Parts parts(assembly.parts);
  const std::vector<PartLengths> lengths = measure_parts(assembly, parts, comm);
  Extents extents = final_extents(assembly, lengths);
  try {
    std::vector<PlannedDataset> planned;
    on_first_rank(
        [&] { planned = Beginning(assembly, parts, lengths, extents, threads).write(partial); });
    step("created");
    H5File file;
    on_first_rank([&] { file = H5File::open_for_writing(partial, ErrorKind::kOutput); });
    if (!assembly.links_rows) {
      TilePacker packer({parts, lengths, assembly.offset_indices}, threads);
      write_rows(assembly, file, RowWriter(std::move(packer), comm, assembly.on_progress), extents,
                 comm);
    }
    step("rows written");
    on_first_rank([&] { file.close(); });
    step("closed");
    on_first_rank([&] {
      mark_complete(partial);
      sync_path(partial);
      check_whole(partial, planned);
    });
    step("fsynced");
    on_first_rank([&] { rename_file(partial, assembly.target); });
    step("renamed");
    on_first_rank([&] { sync_path(folder_of(assembly.target)); });
    step("done");
  } catch (...) {
    if (rank == 0) std::remove(partial.c_str());
    throw;
  }
}

}  // namespace actsweep
