// Sweep files whose rows stay in the segments' files.
//
// In: segments. Out: virtual datasets over them, which readers see as any other, and a list of the
// files in the sweep file's root attribute "linked_files". Names are relative to the sweep file's
// folder, so that it can be moved with its segments. Readers of HDF5 see fill values where a file
// is missing; who opens a sweep file here is refused (of the file's error kind).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "output/sweep_file.h"
#include "output/tile_packer.h"

namespace actsweep {

inline constexpr const char* kLinkedFiles = "linked_files";

class RowLinks {
 public:
  /// Opens each file of the parts once. `target` will lie in the same folder as what is linked, or
  /// above.
  RowLinks(const RowOrigin& origin, const std::vector<Dataset>& datasets,
           const std::string& target);

  /// Has the dataset's creation list map its rows; false where it has none.
  bool map(const PlannedDataset& planned, const H5Id& creation) const;
  /// The root attribute that lists the files.
  Attribute files() const;

 private:
  /// What of a dataset lies in one file.
  struct Piece {
    std::string file;
    std::vector<hsize_t> shape;  // of the dataset there
    hsize_t padding = 0;
    std::vector<RowRun> runs;  // in the target
  };
  void add_file(const RowOrigin& origin, PartFile file, const RowCounts& before,
                const std::vector<Dataset>& datasets);

  std::string folder_;
  std::map<std::string, int64_t> bytes_;              // of each file
  std::map<std::string, std::vector<Piece>> pieces_;  // of each dataset
};

/// Does a root attribute say how a file itself is made, and not what was measured? Each file that
/// is made of others writes its own.
bool is_of_file_itself(const std::string& attribute);
/// Do its rows lie in other files?
bool is_linked(const H5File& file);
/// The files, as the attribute names them.
std::vector<std::string> linked_files(const H5File& file);
/// Refuses a linked file where one of its files is missing or has another size.
void check_linked_files(const H5File& file);

}  // namespace actsweep
