#include "corpus/text_images.h"

#include <algorithm>

#include "base/error.h"
#include "corpus/corpus_file.h"

namespace actsweep {
namespace {

constexpr auto kPlaceError = ErrorKind::kCorpus;

std::vector<int64_t> read_numbers(const H5File& file, const char* path, int64_t images) {
  auto numbers = read_vector<int64_t>(file, path, H5T_NATIVE_INT64);
  require(static_cast<int64_t>(numbers.size()) == images, kPlaceError,
          "{}: {}: expected one for each of {} images, found {}", file.file(), path, images,
          numbers.size());
  return numbers;
}

}  // namespace

TextImages::TextImages(const H5File& file, std::shared_ptr<const MappedFile> map,
                       const std::vector<int64_t>& document_offset)
    : path_(file.file()), pixels_(file, "images/pixels", std::move(map)) {
  const auto first = read_numbers(file, "images/first_token", pixels_.images());
  const auto tokens = read_numbers(file, "images/tokens", pixels_.images());
  int64_t end = 0;
  for (int64_t i = 0; i < pixels_.images(); ++i) {
    const bool is_behind = first[i] >= end && tokens[i] > 0 && first[i] < document_offset.back();
    require(is_behind, kPlaceError,
            "{}: images/first_token: expected image {} behind token {}, below {}, found {} tokens "
            "from {} on",
            path_, i, end, document_offset.back(), tokens[i], first[i]);
    end = *std::ranges::upper_bound(document_offset, first[i]);
    require(tokens[i] <= end - first[i], kPlaceError,
            "{}: images/tokens: expected image {} in one document, which ends at token {}, found "
            "{} tokens from {} on",
            path_, i, end, tokens[i], first[i]);
    list_.push_back({first[i], tokens[i], pixels_.of(i)});
    end = list_.back().end();
  }
}

void TextImages::check_ids(std::span<const uint32_t> ids, uint32_t image_id) const {
  int64_t from = 0;
  const auto check = [&](int64_t end, bool stands_for_image) {
    const auto run = ids.subspan(from, end - from);
    const auto wrong = std::ranges::find_if(
        run, [&](uint32_t id) { return (id == image_id) != stands_for_image; });
    require(wrong == run.end(), kPlaceError,
            "{}: images: expected the id {} for the tokens of images and for no other, found {} at "
            "token {}",
            path_, image_id, wrong == run.end() ? 0 : *wrong, from + (wrong - run.begin()));
    from = end;
  };
  for (const auto& image : list_) {
    check(image.first_token, false);
    check(image.end(), true);
  }
  check(static_cast<int64_t>(ids.size()), false);
}

}  // namespace actsweep
