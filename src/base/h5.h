// HDF5 handles that close themselves, and the one place where an HDF5 status becomes an Error.
//
// In: a path and the kind of error to raise. Out: files, groups, datasets and their attributes.
// Every failure is an Error of that kind with the file, the object, what was tried and HDF5's own
// error stack; HDF5 itself prints nothing. Debian's HDF5 is not thread-safe: all calls of a process
// happen on one thread at a time.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace actsweep {

/// A whole number, a number or a text, as attributes hold them.
using AttributeValue = std::variant<int64_t, double, std::string>;

struct Attribute {
  std::string name;
  AttributeValue value;
};

/// Owns one HDF5 identifier of any sort: file, group, dataset, space, type, property list or
/// attribute.
class H5Id {
 public:
  using Close = herr_t (*)(hid_t);

  H5Id() = default;
  H5Id(hid_t id, Close closer) : id_(id), closer_(closer) {}
  H5Id(H5Id&& other) noexcept : id_(std::exchange(other.id_, -1)), closer_(other.closer_) {}
  H5Id& operator=(H5Id&& other) noexcept;
  ~H5Id() { close(); }

  hid_t get() const { return id_; }
  /// Closes the identifier, if any is held, and gives HDF5's status.
  herr_t close();

 private:
  hid_t id_ = -1;
  Close closer_ = nullptr;
};

/// A part of a dataset: offset and count along each axis.
struct Hyperslab {
  std::vector<hsize_t> offset;
  std::vector<hsize_t> count;
};

/// Whether HDF5 still holds a file that it could not close. Its own end, which MPI_Finalize and
/// exit run, would then crash.
bool hdf5_cannot_end();

/// An open file, group or dataset, with its name for messages.
class H5Object {
 public:
  H5Object() = default;
  H5Object(H5Id id, ErrorKind kind, std::string file, std::string path);

  hid_t id() const { return id_.get(); }
  const std::string& file() const { return file_; }
  const std::string& path() const { return path_; }
  ErrorKind kind() const { return kind_; }

  bool has_attribute(const std::string& name) const;
  /// Creates the attribute; texts are variable-length UTF-8, so that every reader gets a string.
  void write_attribute(const Attribute& attribute) const;
  /// Refuses a missing attribute and one that is neither a number nor a text.
  AttributeValue read_attribute(const std::string& name) const;
  std::vector<std::string> attribute_names() const;
  /// The attribute's value; refuses one of another type.
  int64_t read_int(const std::string& name) const;
  std::string read_text(const std::string& name) const;

  /// Gives a non-negative status or identifier back; raises an Error for a negative one.
  int64_t check(int64_t status, std::string_view action) const;

 protected:
  H5Id id_;
  ErrorKind kind_ = ErrorKind::kOutput;
  std::string file_;
  std::string path_;
};

class H5Dataset : public H5Object {
 public:
  using H5Object::H5Object;

  std::vector<hsize_t> shape() const;
  H5Id type() const;
  H5Id space() const;
  /// Whether all of its values have a place in the file.
  bool is_whole() const;
  /// Where a contiguous dataset's values begin in the file; refuses a dataset of another layout.
  int64_t file_offset() const;
  /// Moves one part between the file and `values`, which hold it densely, in `memory_type`.
  void read(hid_t memory_type, const Hyperslab& part, void* values) const;
  void write(hid_t memory_type, const Hyperslab& part, const void* values,
             hid_t transfer = H5P_DEFAULT) const;
  /// Gives a growing dataset another length along an axis.
  void set_length(size_t axis, hsize_t length) const;
  /// Lengths of a chunk; empty of a dataset without chunks.
  std::vector<hsize_t> chunk() const;
  /// What its chunks pass on their way into the file, in order (H5Z_FILTER_SHUFFLE, ...).
  std::vector<H5Z_filter_t> filters() const;
  /// Bytes that its values take in the file.
  int64_t stored_bytes() const;
  /// Reads or writes one chunk, which begins at `offset`, past the filters: as it lies in the file,
  /// where all filters have passed it. Refuses to read one that is not there, or that a filter has
  /// left out. Only in a file that one rank has open alone.
  std::vector<std::byte> read_chunk(const std::vector<hsize_t>& offset) const;
  void write_chunk(const std::vector<hsize_t>& offset, std::span<const std::byte> bytes) const;
  /// All values at once.
  void read_all(hid_t memory_type, void* values) const;
  void write_all(hid_t memory_type, const void* values) const;

 private:
  H5Id creation() const;
  void select(hid_t file_space, hid_t memory_space, const Hyperslab& part) const;
};

class H5File : public H5Object {
 public:
  H5File() = default;
  H5File(H5File&& other) noexcept;
  H5File& operator=(H5File&& other) noexcept;
  /// A file that was being written and never closed is abandoned.
  ~H5File() { abandon(); }

  /// Creates the file or empties it.
  static H5File create(const std::string& path, ErrorKind kind);
  static H5File open(const std::string& path, ErrorKind kind);
  static H5File open_for_writing(const std::string& path, ErrorKind kind);

  /// Is there an object at this path? Every step of the path is looked at.
  bool contains(const std::string& path) const;
  H5Dataset dataset(const std::string& path) const;
  H5Object group(const std::string& path) const;
  /// Groups on the way are created. `creation` is a dataset creation property list.
  H5Dataset create_dataset(const std::string& path, hid_t file_type,
                           const std::vector<hsize_t>& shape, hid_t creation = H5P_DEFAULT) const;
  /// The same of a dataset that can grow along one axis; `creation` gives it chunks.
  H5Dataset create_growing(const std::string& path, hid_t file_type,
                           const std::vector<hsize_t>& shape, size_t axis, hid_t creation) const;
  /// The paths of all datasets, without a leading slash, in alphabetical order.
  std::vector<std::string> dataset_paths() const;
  /// Writes everything out and closes; raises what the destructor would swallow. Objects of the
  /// file must be closed.
  void close();
  /// Closes without writing to the disk what HDF5 still holds; the file is then of no use.
  void abandon();

 private:
  H5File(hid_t id, ErrorKind kind, const std::string& path, bool is_written_serially);
  H5Dataset create_in(const H5Id& space, const std::string& path, hid_t file_type,
                      hid_t creation) const;
  int descriptor() const;

  bool is_written_serially_ = false;
};

/// How files are opened: without HDF5's locks, which some file systems lack (Lustre without flock,
/// NFS without its daemon). None is needed: a file that is written has a name of its process' own.
/// HDF5_USE_FILE_LOCKING, where set, decides in its stead.
H5Id file_access();

/// A property list of an HDF5 class, as in make_property_list(H5P_DATASET_CREATE).
H5Id make_property_list(hid_t property_class);

}  // namespace actsweep
