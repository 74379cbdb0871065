// Parts in order -> one sweep file: the consolidation of segments and the merge of finished files.
//
// In: the paths of parts that hold the declared datasets, and what no part holds. Out: the target,
// which exists only whole. Rank 0 writes all that is small, then all ranks write rows and events
// together, then rank 0 commits. Refuses (ErrorKind::kOutput) parts that do not fit the
// declarations or each other, a disk without room, and a result that cannot be opened again; what
// was begun is then removed.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/h5.h"
#include "output/layout.h"
#include "output/segment_file.h"
#include "schema/derive.h"

namespace actsweep {

struct Assembly {
  std::string target;
  /// In corpus order, those of captured prompts anywhere; of a segment member 0's file alone,
  /// beside which the other members' lie.
  std::vector<std::string> parts;
  std::vector<Dataset> datasets;  // in the order of the file
  Extents extents;                // of the target; events, rows and findings come from the parts
  std::vector<Attribute> attributes;  // of the root, without schema, schema_version and complete
  bool offset_indices = false;  // merge of files: indices and documents count on from file to file
  bool links_rows = false;      // they stay where they are (linked_rows.h)
  /// A linked file of the same parts, from which all but rows is copied; nothing is merged or
  /// derived then.
  const H5File* linked = nullptr;
  std::function<Derived(const MergedFields&)> derive;
  std::map<std::string, std::vector<std::byte>> constants;  // every constant dataset but captures
  StepHook on_step;                                         // called on every rank
  std::function<void()> on_progress = {};                   // after less than a step, too
};

/// Collective over the communicator. An error on one rank is an error on all.
void assemble(const Assembly& assembly, MPI_Comm comm);

}  // namespace actsweep
