#include "output/chunk_packer.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "base/instruction_sets.h"

namespace actsweep {
namespace {

template <typename Word>
ACTSWEEP_INLINE void shuffle_words(std::span<const std::byte> values, size_t first,
                                   std::span<std::byte> shuffled) {
  const auto elements = static_cast<int64_t>(shuffled.size() / sizeof(Word));
  const auto present = static_cast<int64_t>(values.size() / sizeof(Word));
  const auto* __restrict from = reinterpret_cast<const Word*>(values.data());
  auto* __restrict to = reinterpret_cast<uint8_t*>(shuffled.data()) + first / sizeof(Word);
  for (size_t byte = 0; byte < sizeof(Word); ++byte, to += elements) {
    for (int64_t i = 0; i < present; ++i) to[i] = static_cast<uint8_t>(from[i] >> (8 * byte));
  }
}

/// The first bytes of all elements, then their second bytes, and so on. The values are those of a
/// chunk from its byte `first` on; what they do not reach is left as it is.
ACTSWEEP_CLONES
void shuffle(std::span<const std::byte> values, size_t first, int64_t element_bytes,
             std::span<std::byte> shuffled) {
  switch (element_bytes) {
    case 1:
      return shuffle_words<uint8_t>(values, first, shuffled);
    case 2:
      return shuffle_words<uint16_t>(values, first, shuffled);
    case 4:
      return shuffle_words<uint32_t>(values, first, shuffled);
    default:
      return shuffle_words<uint64_t>(values, first, shuffled);
  }
}

}  // namespace

std::vector<std::byte> ChunkPacker::pack(const ChunkSize& size, std::span<const std::byte> values,
                                         size_t first) {
  ensure(std::has_single_bit(static_cast<uint64_t>(size.element_bytes)) && size.element_bytes <= 8,
         "elements have one, two, four or eight bytes");
  ensure(first + values.size() <= size.bytes, "a chunk's values fit into it");
  shuffled_.resize(size.bytes);
  // What cannot be compressed is stored, with a header for each 64 KiB.
  compressed_.resize(size.bytes + size.bytes / 4096 + 64);
  ensure(compressed_.size() <= std::numeric_limits<uint32_t>::max(), "a chunk is below 4 GiB");
  if (values.size() < size.bytes) std::fill(shuffled_.begin(), shuffled_.end(), std::byte{});
  shuffle(values, first, size.element_bytes, shuffled_);
  return {compressed_.begin(), compressed_.begin() + deflate()};
}

/// By ISA-L, in zlib's format; returns how many bytes it wrote.
int64_t ChunkPacker::deflate() {
  // What ISA-L finds there of an earlier chunk would decide which bytes it writes.
  work_space_.assign(ISAL_DEF_LVL1_DEFAULT, 0);
  isal_zstream stream{};
  isal_deflate_stateless_init(&stream);
  stream.level = 1;
  stream.level_buf = work_space_.data();
  stream.level_buf_size = static_cast<uint32_t>(work_space_.size());
  stream.gzip_flag = IGZIP_ZLIB;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<uint8_t*>(shuffled_.data());
  stream.avail_in = static_cast<uint32_t>(shuffled_.size());
  stream.next_out = reinterpret_cast<uint8_t*>(compressed_.data());
  stream.avail_out = static_cast<uint32_t>(compressed_.size());
  ensure(isal_deflate_stateless(&stream) == COMP_OK, "a stored chunk would fit");
  return stream.total_out;
}

}  // namespace actsweep
