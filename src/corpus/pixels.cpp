#include "corpus/pixels.h"

#include "base/error.h"

namespace actsweep {
namespace {

constexpr auto kPixelError = ErrorKind::kCorpus;

}  // namespace

Pixels::Pixels(const H5File& file, const std::string& path, std::shared_ptr<const MappedFile> map)
    : map_(std::move(map)) {
  const auto dataset = file.dataset(path);
  const auto shape = dataset.shape();
  const auto type = dataset.type();
  require(shape.size() == 4 && shape[1] == 3 && H5Tequal(type.get(), H5T_IEEE_F32LE) > 0,
          kPixelError,
          "{}: {}: expected [image, 3, height, width] of little-endian float32, found another "
          "type or shape",
          file.file(), path);
  require(shape[0] > 0, kPixelError, "{}: {}: expected at least one image, found none", file.file(),
          path);
  images_ = static_cast<int64_t>(shape[0]);
  size_ = {static_cast<int64_t>(shape[2]), static_cast<int64_t>(shape[3])};
  const int64_t offset = dataset.file_offset();
  const int64_t bytes = images_ * 3 * size_.height * size_.width * 4;
  require(offset % 4 == 0 && offset + bytes <= map_->size(), kPixelError,
          "{}: {}: expected {} bytes at offset {}, found a file of {} bytes; it may be truncated",
          file.file(), path, bytes, offset, map_->size());
  first_ = reinterpret_cast<const float*>(map_->data() + offset);
}

}  // namespace actsweep
