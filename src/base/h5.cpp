#include "base/h5.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace actsweep {
namespace {

std::atomic<bool> holds_unclosed_file = false;

/// HDF5 prints its error stack by default; the stack goes into our message instead.
void silence_hdf5() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

herr_t collect_dataset_path(hid_t, const char* name, const H5O_info_t* info, void* paths) {
  if (info->type == H5O_TYPE_DATASET) {
    static_cast<std::vector<std::string>*>(paths)->emplace_back(name);
  }
  return 0;
}

H5Id make_space(const std::vector<hsize_t>& shape) {
  if (shape.empty()) return {H5Screate(H5S_SCALAR), H5Sclose};
  return {H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose};
}

/// Says what a path is that HDF5 could say in words of its own alone.
void require_hdf5_file(const std::string& path, ErrorKind kind) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  require(descriptor >= 0, kind, "{}: expected an HDF5 file, found none that can be read: {}", path,
          std::strerror(errno));
  struct stat status {};
  const bool is_file = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  ::close(descriptor);
  require(is_file, kind, "{}: expected an HDF5 file, found a folder or a device", path);
  require(status.st_size > 0, kind, "{}: expected an HDF5 file, found an empty file", path);
  require(H5Fis_hdf5(path.c_str()) > 0, kind,
          "{}: expected an HDF5 file, found a file of another kind", path);
}

}  // namespace

bool hdf5_cannot_end() { return holds_unclosed_file; }

H5Id H5Dataset::space() const {
  H5Id space(H5Dget_space(id()), H5Sclose);
  check(space.get(), "get the shape");
  return space;
}

H5Id H5Dataset::type() const {
  H5Id type(H5Dget_type(id()), H5Tclose);
  check(type.get(), "get the type");
  return type;
}

std::vector<hsize_t> H5Dataset::shape() const {
  const H5Id extent = space();
  std::vector<hsize_t> shape(
      static_cast<size_t>(check(H5Sget_simple_extent_ndims(extent.get()), "get the rank")));
  check(H5Sget_simple_extent_dims(extent.get(), shape.data(), nullptr), "get the shape");
  return shape;
}

bool H5Dataset::is_whole() const {
  const auto lengths = shape();
  if (std::find(lengths.begin(), lengths.end(), 0) != lengths.end()) return true;
  const auto chunk_lengths = chunk();
  if (chunk_lengths.empty()) {
    H5D_space_status_t status = H5D_SPACE_STATUS_NOT_ALLOCATED;
    check(H5Dget_space_status(id(), &status), "ask for its space");
    return status == H5D_SPACE_STATUS_ALLOCATED;
  }
  hsize_t expected = 1, found = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    expected *= (lengths[i] + chunk_lengths[i] - 1) / chunk_lengths[i];
  }
  check(H5Dget_num_chunks(id(), space().get(), &found), "count its chunks");
  return found == expected;
}

int64_t H5Dataset::file_offset() const {
  const haddr_t offset = H5Dget_offset(id());
  require(offset != HADDR_UNDEF, kind_, "{}: /{} is not one contiguous run of bytes", file_, path_);
  return static_cast<int64_t>(offset);
}

void H5Dataset::select(hid_t file_space, hid_t memory_space, const Hyperslab& part) const {
  if (part.count.empty()) return;  // a scalar: all of it
  const bool is_empty = std::find(part.count.begin(), part.count.end(), 0) != part.count.end();
  if (is_empty) {  // a rank without values still takes part in a collective write
    check(H5Sselect_none(file_space), "select nothing");
    check(H5Sselect_none(memory_space), "select nothing");
  } else {
    check(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, part.offset.data(), nullptr,
                              part.count.data(), nullptr),
          "select a part");
  }
}

void H5Dataset::read(hid_t memory_type, const Hyperslab& part, void* values) const {
  const H5Id file_space = space();
  const H5Id memory_space = make_space(part.count);
  select(file_space.get(), memory_space.get(), part);
  check(H5Dread(id(), memory_type, memory_space.get(), file_space.get(), H5P_DEFAULT, values),
        "read a part");
}

void H5Dataset::write(hid_t memory_type, const Hyperslab& part, const void* values,
                      hid_t transfer) const {
  const H5Id file_space = space();
  const H5Id memory_space = make_space(part.count);
  select(file_space.get(), memory_space.get(), part);
  check(H5Dwrite(id(), memory_type, memory_space.get(), file_space.get(), transfer, values),
        "write a part");
}

void H5Dataset::set_length(size_t axis, hsize_t length) const {
  auto lengths = shape();
  lengths.at(axis) = length;
  check(H5Dset_extent(id(), lengths.data()), "set the length");
}

H5Id H5Dataset::creation() const {
  H5Id creation(H5Dget_create_plist(id()), H5Pclose);
  check(creation.get(), "ask for its layout");
  return creation;
}

std::vector<hsize_t> H5Dataset::chunk() const {
  const H5Id of = creation();
  if (H5Pget_layout(of.get()) != H5D_CHUNKED) return {};
  std::vector<hsize_t> chunk(shape().size());
  check(H5Pget_chunk(of.get(), static_cast<int>(chunk.size()), chunk.data()), "ask for its chunks");
  return chunk;
}

std::vector<H5Z_filter_t> H5Dataset::filters() const {
  const H5Id of = creation();
  std::vector<H5Z_filter_t> filters(
      static_cast<size_t>(check(H5Pget_nfilters(of.get()), "count its filters")));
  for (size_t i = 0; i < filters.size(); ++i) {
    unsigned flags = 0, options = 0;
    size_t values = 0;
    filters[i] = H5Pget_filter2(of.get(), static_cast<unsigned>(i), &flags, &values, nullptr, 0,
                                nullptr, &options);
  }
  return filters;
}

int64_t H5Dataset::stored_bytes() const { return static_cast<int64_t>(H5Dget_storage_size(id())); }

std::vector<std::byte> H5Dataset::read_chunk(const std::vector<hsize_t>& offset) const {
  hsize_t size = 0;
  check(H5Dget_chunk_storage_size(id(), offset.data(), &size), "find a chunk");
  require(size > 0, kind_, "{}: /{} lacks a chunk that it should have", file_, path_);
  std::vector<std::byte> bytes(size);
  uint32_t left_out = 0;
  check(H5Dread_chunk(id(), H5P_DEFAULT, offset.data(), &left_out, bytes.data()), "read a chunk");
  require(left_out == 0, kind_, "{}: /{} has a chunk that was not compressed as the others", file_,
          path_);
  return bytes;
}

void H5Dataset::write_chunk(const std::vector<hsize_t>& offset,
                            std::span<const std::byte> bytes) const {
  constexpr uint32_t kAllFilters = 0;  // none is left out
  check(H5Dwrite_chunk(id(), H5P_DEFAULT, kAllFilters, offset.data(), bytes.size(), bytes.data()),
        "write a chunk");
}

void H5Dataset::read_all(hid_t memory_type, void* values) const {
  check(H5Dread(id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), "read the values");
}

void H5Dataset::write_all(hid_t memory_type, const void* values) const {
  check(H5Dwrite(id(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), "write the values");
}

H5File::H5File(hid_t id, ErrorKind kind, const std::string& path, bool is_written_serially)
    : H5Object(H5Id(id, H5Fclose), kind, path, ""), is_written_serially_(is_written_serially) {}

H5File::H5File(H5File&& other) noexcept
    : H5Object(std::move(other)),
      is_written_serially_(std::exchange(other.is_written_serially_, false)) {}

H5File& H5File::operator=(H5File&& other) noexcept {
  abandon();
  H5Object::operator=(std::move(other));
  is_written_serially_ = std::exchange(other.is_written_serially_, false);
  return *this;
}

H5Id file_access() {
  H5Id access = make_property_list(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
  constexpr bool kLocks = false, kIgnoresMissing = true;
  H5Pset_file_locking(access.get(), kLocks, kIgnoresMissing);
#endif
  return access;
}

H5File H5File::create(const std::string& path, ErrorKind kind) {
  silence_hdf5();
  const H5Id access = file_access();  // whose end would clear HDF5's reasons of a failure
  H5File file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), kind, path, true);
  file.check(file.id(), "create the file");
  return file;
}

H5File H5File::open(const std::string& path, ErrorKind kind) {
  silence_hdf5();
  require_hdf5_file(path, kind);
  const H5Id access = file_access();
  H5File file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), kind, path, false);
  file.check(file.id(), "open the file");
  return file;
}

H5File H5File::open_for_writing(const std::string& path, ErrorKind kind) {
  silence_hdf5();
  const H5Id access = file_access();
  H5File file(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), kind, path, true);
  file.check(file.id(), "open the file for writing");
  return file;
}

int H5File::descriptor() const {
  void* handle = nullptr;
  check(H5Fget_vfd_handle(id(), H5P_DEFAULT, &handle), "find the file's descriptor");
  return *static_cast<int*>(handle);
}

void H5File::close() {
  ensure(H5Fget_obj_count(id(), H5F_OBJ_DATASET | H5F_OBJ_GROUP | H5F_OBJ_ATTR) == 0,
         "a file's objects are closed before it, or it would stay open");
  if (is_written_serially_) {
    // HDF5 1.10 crashes at exit after a flush that fails, so the flush must find its blocks there.
    haddr_t end = 0;
    check(H5Fget_eoa(id(), &end), "find the file's end");
    const int status = ::fallocate(descriptor(), 0, 0, static_cast<off_t>(end));
    const int reason = errno;
    if (status != 0 && reason != EOPNOTSUPP && reason != ENOSYS) {
      abandon();
      fail(kind_, "{}: cannot write out and close the file: {}", file_, std::strerror(reason));
    }
  }
  is_written_serially_ = false;
  const herr_t status = id_.close();
  if (status < 0) holds_unclosed_file = true;
  check(status, "write out and close the file");
}

void H5File::abandon() {
  if (id() < 0 || !std::exchange(is_written_serially_, false)) {
    id_.close();
    return;
  }
  // What HDF5 writes while it closes goes to memory: on a full disk it would fail, and then crash
  // at exit. A limit on the size of files holds for memory too; a hard one cannot be lifted.
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit lifted{limit.rlim_max, limit.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &lifted);
  const int memory = ::memfd_create("abandoned", MFD_CLOEXEC);
  if (memory >= 0) {
    ::dup2(memory, descriptor());
    ::close(memory);
  }
  if (id_.close() < 0) holds_unclosed_file = true;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

bool H5File::contains(const std::string& path) const {
  for (size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    if (prefix.empty()) continue;
    if (check(H5Lexists(id(), prefix.c_str(), H5P_DEFAULT), "look for " + prefix) == 0)
      return false;
  }
  return check(H5Lexists(id(), path.c_str(), H5P_DEFAULT), "look for " + path) > 0;
}

H5Dataset H5File::dataset(const std::string& path) const {
  H5Dataset dataset(H5Id(H5Dopen2(id(), path.c_str(), H5P_DEFAULT), H5Dclose), kind_, file_, path);
  dataset.check(dataset.id(), "open the dataset");
  return dataset;
}

H5Object H5File::group(const std::string& path) const {
  H5Object group(H5Id(H5Gopen2(id(), path.c_str(), H5P_DEFAULT), H5Gclose), kind_, file_, path);
  group.check(group.id(), "open the group");
  return group;
}

H5Dataset H5File::create_dataset(const std::string& path, hid_t file_type,
                                 const std::vector<hsize_t>& shape, hid_t creation) const {
  return create_in(make_space(shape), path, file_type, creation);
}

H5Dataset H5File::create_growing(const std::string& path, hid_t file_type,
                                 const std::vector<hsize_t>& shape, size_t axis,
                                 hid_t creation) const {
  auto most = shape;
  most.at(axis) = H5S_UNLIMITED;
  return create_in(
      {H5Screate_simple(static_cast<int>(shape.size()), shape.data(), most.data()), H5Sclose}, path,
      file_type, creation);
}

H5Dataset H5File::create_in(const H5Id& space, const std::string& path, hid_t file_type,
                            hid_t creation) const {
  const H5Id links = make_property_list(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links.get(), 1);
  H5Dataset dataset(H5Id(H5Dcreate2(id(), path.c_str(), file_type, space.get(), links.get(),
                                    creation, H5P_DEFAULT),
                         H5Dclose),
                    kind_, file_, path);
  dataset.check(dataset.id(), "create the dataset");
  return dataset;
}

std::vector<std::string> H5File::dataset_paths() const {
  std::vector<std::string> paths;
  check(H5Ovisit(id(), H5_INDEX_NAME, H5_ITER_INC, collect_dataset_path, &paths),
        "list the datasets");
  return paths;
}

}  // namespace actsweep
