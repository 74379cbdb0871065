// Finished files over different corpora of one model -> one file, as if the corpora had been swept
// one after the other.
//
// In: paths of at least two finished sweep files, in order. Out: the target. Refuses
// (ErrorKind::kOutput) files that are not finished sweep files, differ in model, job identity,
// vocabulary or datasets, or share a corpus; and a target that exists.
#pragma once

#include <string>
#include <vector>

namespace actsweep {

/// Called on one rank, with MPI running.
void merge_files(const std::vector<std::string>& paths, const std::string& target);

}  // namespace actsweep
