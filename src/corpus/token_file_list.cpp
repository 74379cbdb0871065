#include "corpus/token_file_list.h"

#include <algorithm>

#include "base/error.h"
#include "base/sha256.h"

namespace actsweep {
namespace {

constexpr auto kError = ErrorKind::kCorpus;

void check_same(const TokenFile& first, const TokenFile& other) {
  const auto check = [&](bool is_same, const char* what, const auto& expected, const auto& found) {
    require(is_same, kError,
            "{}: {}: the files of a corpus are of one tokenizer: expected {}, as in {}, found {}",
            other.path(), what, expected, first.path(), found);
  };
  const auto check_value = [&](const char* what, const auto& expected, const auto& found) {
    check(expected == found, what, expected, found);
  };
  check_value("tokenizer_fingerprint", first.tokenizer_fingerprint(),
              other.tokenizer_fingerprint());
  check_value("special_tokens", first.special_tokens(), other.special_tokens());
  check_value("bos_id", first.bos_id(), other.bos_id());
  check_value("eos_id", first.eos_id(), other.eos_id());
  check_value("number of ids in the vocabulary", first.vocabulary_size(), other.vocabulary_size());
  check(first.vocabulary_bytes() == other.vocabulary_bytes() &&
            first.vocabulary_offset() == other.vocabulary_offset(),
        "vocabulary", "the same bytes of each id", "others");
  check(first.token_classes() == other.token_classes(), "token_class", "the same classes",
        "others");
  const auto kind = [](const TokenFile& file) { return file.has_roles() ? "chats" : "texts"; };
  check(first.has_roles() == other.has_roles(), "token_role", kind(first), kind(other));
  const auto asked = [](const TokenFile& file) {
    return file.requests().empty() ? "none" : "some";
  };
  check(first.requests().empty() == other.requests().empty(), "requests", asked(first),
        asked(other));
}

}  // namespace

TokenFileList::TokenFileList(std::vector<std::unique_ptr<const TokenFile>> files)
    : files_(std::move(files)) {
  const auto& first = *files_.front();
  path_ = first.path();
  if (files_.size() > 1) path_ += fmt::format(" and {} more", files_.size() - 1);
  token_class_ = first.token_classes();
  vocabulary_bytes_ = first.vocabulary_bytes();
  vocabulary_offset_ = first.vocabulary_offset();
  tokenizer_fingerprint_ = first.tokenizer_fingerprint();
  special_tokens_ = first.special_tokens();
  bos_id_ = first.bos_id();
  eos_id_ = first.eos_id();
  document_offset_ = {0};
  Sha256 fingerprint;
  for (const auto& file : files_) {
    check_same(first, *file);
    append(*file);
    fingerprint.add(file->fingerprint());
  }
  fingerprint_ = files_.size() == 1 ? first.fingerprint() : fingerprint.hex();
}

void TokenFileList::append(const TokenFile& file) {
  const int64_t begin = tokens();
  first_token_.push_back(begin);
  const auto& offset = file.document_offset();
  std::transform(offset.begin() + 1, offset.end(), std::back_inserter(document_offset_),
                 [begin](int64_t token) { return begin + token; });
  append_requests(file);
  append_images(file, begin);
}

void TokenFileList::append_requests(const TokenFile& file) {
  for (auto request : file.requests()) {
    const auto& task = file.tasks()[request.task];
    const auto place = std::find(tasks_.begin(), tasks_.end(), task);
    request.task = static_cast<uint32_t>(place - tasks_.begin());
    if (place == tasks_.end()) tasks_.push_back(task);
    requests_.push_back(request);
  }
}

void TokenFileList::append_images(const TokenFile& file, int64_t begin) {
  if (file.images().empty()) return;
  const auto size = file.image_size();
  if (images_.empty()) image_size_ = size;
  require(size == image_size_, kError,
          "{}: images/pixels: the images of a corpus are of one size: expected {} x {} pixels, "
          "found {} x {}",
          file.path(), image_size_.height, image_size_.width, size.height, size.width);
  for (auto image : file.images()) {
    image.first_token += begin;
    images_.push_back(image);
  }
}

size_t TokenFileList::file_of(int64_t token) const {
  const auto next = std::upper_bound(first_token_.begin(), first_token_.end(), token);
  return next - first_token_.begin() - 1;
}

uint32_t TokenFileList::id(int64_t token) const {
  const auto file = file_of(token);
  return files_[file]->id(token - first_token_[file]);
}

uint8_t TokenFileList::role(int64_t token) const {
  const auto file = file_of(token);
  return files_[file]->role(token - first_token_[file]);
}

Prompt TokenFileList::prompt(const std::string& name) const {
  const TokenFile* owner = nullptr;
  Prompt prompt;
  for (const auto& file : files_) {
    if (!file->has_prompt(name)) continue;
    auto found = file->prompt(name);
    require(owner == nullptr || found.ids == prompt.ids, kError,
            "{}: prompt \"{}\": expected the ids that it has in {}, found others", file->path(),
            name, owner == nullptr ? "" : owner->path());
    if (owner == nullptr) owner = file.get();
    prompt = std::move(found);
  }
  return owner == nullptr ? files_.front()->prompt(name) : prompt;
}

}  // namespace actsweep
