#include "output/pack.h"

#include <mpi.h>

#include <filesystem>

#include "output/consolidate.h"
#include "output/durable.h"
#include "output/linked_rows.h"
#include "output/output_place.h"
#include "output/run_lock.h"
#include "output/sweep_file.h"

namespace actsweep {
namespace {

/// The segments among the files, without their parts.
std::vector<std::string> segments_of(const H5File& linked) {
  std::vector<std::string> segments;
  for (const auto& name : linked_files(linked)) {
    if (!name.ends_with(kSegmentSuffix)) continue;
    segments.push_back(std::filesystem::path(folder_of(linked.file())) / name);
  }
  return segments;
}

std::vector<Attribute> attributes_of(const H5File& linked) {
  std::vector<Attribute> attributes;
  for (const auto& name : linked.attribute_names()) {
    if (!is_of_file_itself(name)) attributes.push_back({name, linked.read_attribute(name)});
  }
  return attributes;
}

void assemble_packed(const H5File& linked, const std::string& target) {
  Assembly assembly;
  assembly.target = target;
  assembly.parts = segments_of(linked);
  assembly.datasets = datasets_of(linked);
  assembly.extents = extents_of(linked);
  for (const Axis axis : concatenated_axes()) assembly.extents.try_emplace(axis, 0);
  assembly.attributes = attributes_of(linked);
  assembly.linked = &linked;
  assemble(assembly, MPI_COMM_SELF);
}

/// Where to write, or an Error.
std::string checked_target(const std::string& wanted) {
  const std::string target = resolve_output(wanted);
  std::error_code ignored;
  require(!std::filesystem::exists(target, ignored), ErrorKind::kOutput,
          "{}: exists already; without -o the packed file takes the linked one's place", target);
  check_writable(target);
  return target;
}

}  // namespace

void pack_file(const std::string& path, const std::string& target) {
  const std::string source = resolve_output(path);
  const bool is_in_place = target.empty();
  const std::string to = is_in_place ? source : checked_target(target);
  const H5File linked = open_sweep(source);
  require(is_linked(linked), ErrorKind::kOutput,
          "{}: expected a file with linked rows, found one that holds them itself", source);
  check_writable(to);
  const RunLock lock(to);
  remove_unfinished(to, {});
  assemble_packed(linked, to);
  if (is_in_place) remove_segments(to);
}

}  // namespace actsweep
