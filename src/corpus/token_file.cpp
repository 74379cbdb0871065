#include "corpus/token_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corpus/corpus_file.h"

namespace actsweep {
namespace {

constexpr auto kKind = ErrorKind::kCorpus;

/// Refuses what HDF5 would turn into other numbers: negative ones, those of 64 bits.
void check_type(const H5Dataset& dataset, hid_t expected, const char* name) {
  const auto type = dataset.type();
  require(dataset.shape().size() == 1 && H5Tequal(type.get(), expected) > 0, kKind,
          "{}: {}: expected one axis of {}, found another type or shape", dataset.file(),
          dataset.path(), name);
}

void check_type_of_ids(const H5Dataset& dataset) {
  check_type(dataset, H5T_STD_U32LE, "little-endian uint32");
}

/// The values of a contiguous dataset inside the map, without a copy.
template <typename T>
std::span<const T> mapped(const H5Dataset& dataset, const MappedFile& map) {
  const auto shape = dataset.shape();
  if (shape[0] == 0) return {};
  const int64_t offset = dataset.file_offset();
  const auto bytes = static_cast<int64_t>(shape[0] * sizeof(T));
  require(offset % sizeof(T) == 0, kKind,
          "{}: {}: expected an offset in the file that {} divides (H5Pset_alignment), found {}",
          dataset.file(), dataset.path(), sizeof(T), offset);
  require(offset + bytes <= map.size(), kKind,
          "{}: {}: expected {} bytes at offset {}, found a file of {} bytes; it may be truncated",
          dataset.file(), dataset.path(), bytes, offset, map.size());
  return {reinterpret_cast<const T*>(map.data() + offset), shape[0]};
}

std::span<const uint32_t> map_ids(const H5File& file, const MappedFile& map) {
  const auto dataset = file.dataset("ids");
  check_type_of_ids(dataset);
  return mapped<uint32_t>(dataset, map);
}

/// One for each id; none where the corpus is no chats.
std::span<const uint8_t> map_roles(const H5File& file, const MappedFile& map, size_t tokens) {
  if (!file.contains("token_role")) return {};
  const auto dataset = file.dataset("token_role");
  check_type(dataset, H5T_STD_U8LE, "uint8");
  const auto roles = mapped<uint8_t>(dataset, map);
  require(roles.size() == tokens, kKind,
          "{}: token_role: expected one for each of {} ids, found {}", file.file(), tokens,
          roles.size());
  const auto wrong = std::ranges::find_if(roles, [](uint8_t role) { return role >= kRoles; });
  require(wrong == roles.end(), kKind, "{}: token_role: expected roles below {}, found {}",
          file.file(), kRoles, wrong == roles.end() ? 0 : *wrong);
  return roles;
}

void check_offsets(const std::vector<int64_t>& offsets, int64_t tokens, const std::string& path) {
  require(offsets.size() >= 2 && offsets.front() == 0 && offsets.back() == tokens &&
              std::is_sorted(offsets.begin(), offsets.end()),
          kKind, "{}: document_offset: expected rising offsets from 0 to {} tokens, found {}", path,
          tokens, offsets.empty() ? "none" : "others");
}

void check_vocabulary(const std::vector<uint64_t>& offsets, uint64_t ids, uint64_t bytes,
                      const std::string& path) {
  require(offsets.size() == ids + 1 && offsets.front() == 0 && offsets.back() == bytes &&
              std::is_sorted(offsets.begin(), offsets.end()),
          kKind,
          "{}: vocabulary/offset: expected {} offsets that rise from 0 to {} bytes, found {}", path,
          ids + 1, bytes, offsets.size() == ids + 1 ? "others" : fmt::format("{}", offsets.size()));
}

/// Class 0 is that of the first place in a window, and no id's.
void check_classes(const std::vector<uint8_t>& classes, const std::string& path) {
  const auto wrong = std::find_if(classes.begin(), classes.end(),
                                  [](uint8_t value) { return value < 1 || value > 3; });
  if (wrong == classes.end()) return;
  fail(kKind, "{}: token_class: expected classes 1 to 3, found {} of id {}", path, *wrong,
       wrong - classes.begin());
}

}  // namespace

TokenFile::TokenFile(const std::string& path) {
  path_ = path;
  const auto file = open_corpus_file(path, CorpusKind::kText);
  map_ = std::make_shared<const MappedFile>(path, kKind);
  ids_ = map_ids(file, *map_);
  require(!ids_.empty(), kKind, "{}: ids: expected at least one token, found none", path);
  roles_ = map_roles(file, *map_, ids_.size());
  document_offset_ = read_vector<int64_t>(file, "document_offset", H5T_NATIVE_INT64);
  check_offsets(document_offset_, static_cast<int64_t>(ids_.size()), path);
  if (file.contains("requests")) read_requests(file);
  if (file.contains("images")) images_.emplace(file, map_, document_offset_);
  token_class_ = read_vector<uint8_t>(file, "token_class", H5T_NATIVE_UINT8);
  vocabulary_bytes_ = read_vector<std::byte>(file, "vocabulary/bytes", H5T_NATIVE_UINT8);
  vocabulary_offset_ = read_vector<uint64_t>(file, "vocabulary/offset", H5T_NATIVE_UINT64);
  check_classes(token_class_, path);
  check_vocabulary(vocabulary_offset_, token_class_.size(), vocabulary_bytes_.size(), path);
  fingerprint_ = file.read_text("corpus_fingerprint");
  tokenizer_fingerprint_ = file.read_text("tokenizer_fingerprint");
  special_tokens_ = file.read_text("special_tokens");
  bos_id_ = file.read_int("bos_id");
  eos_id_ = file.read_int("eos_id");
}

void TokenFile::read_requests(const H5File& file) {
  requests_.resize(documents());
  for (const auto& column : kRequestColumns) {
    const auto path = fmt::format("requests/{}", column.name);
    const auto values = read_vector<uint32_t>(file, path, H5T_NATIVE_UINT32);
    require(values.size() == requests_.size(), kKind,
            "{}: {}: expected one for each of {} documents, found {}", path_, path,
            requests_.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) requests_[i].*column.value = values[i];
  }
  const auto tasks = nlohmann::json::parse(file.read_text("tasks"), nullptr, false);
  require(tasks.is_array(), kKind, "{}: root attribute tasks: expected a JSON list", path_);
  tasks_ = tasks.get<std::vector<std::string>>();
  for (int64_t i = 0; i < documents(); ++i) {
    const auto length = document_offset_[i + 1] - document_offset_[i];
    const auto& request = requests_[i];
    require(0 < request.first_scored && request.first_scored < length, kKind,
            "{}: requests/first_scored: expected a token behind the first of document {}, which "
            "has {}, found {}",
            path_, i, length, request.first_scored);
    require(request.task < tasks_.size(), kKind,
            "{}: requests/task: expected a number below {}, found {} of document {}", path_,
            tasks_.size(), request.task, i);
  }
}

std::span<const PlacedImage> TokenFile::images() const {
  if (!images_) return {};
  return images_->list();
}

bool TokenFile::has_prompt(const std::string& name) const {
  return open_corpus_file(path_, CorpusKind::kText).contains("prompts/" + name);
}

Prompt TokenFile::prompt(const std::string& name) const {
  const auto file = open_corpus_file(path_, CorpusKind::kText);
  const auto path = "prompts/" + name;
  if (!file.contains(path)) {
    std::string known;
    for (const auto& dataset : file.dataset_paths()) {
      if (dataset.starts_with("prompts/")) known += fmt::format(" {}", dataset.substr(8));
    }
    fail(kKind,
         "{}: prompt \"{}\": expected one of the file's named prompts, found none of that "
         "name; it has:{}",
         path_, name, known.empty() ? " none" : known);
  }
  check_type_of_ids(file.dataset(path));
  auto ids = read_vector<uint32_t>(file, path, H5T_NATIVE_UINT32);
  require(!ids.empty(), kKind, "{}: prompt \"{}\": expected tokens, found none", path_, name);
  return {std::move(ids)};
}

int64_t TokenFile::limit_of(int64_t vocabulary) const {
  return std::min(vocabulary, vocabulary_size());
}

void TokenFile::check_ids(int64_t vocabulary) const {
  const auto largest = std::max_element(ids_.begin(), ids_.end());
  const auto limit = limit_of(vocabulary);
  require(
      *largest < limit, kKind,
      "{}: ids: expected ids below {} (the vocabulary of the model and of the tokenizer), found "
      "{} at token {}",
      path_, limit, *largest, largest - ids_.begin());
}

void TokenFile::check_text(const std::string& what, std::span<const uint32_t> ids,
                           const std::vector<int64_t>& image_ids) const {
  const auto found = std::ranges::find_first_of(ids, image_ids);
  if (found == ids.end()) return;
  fail(
      kKind,
      "{}: {}: expected text alone, found the id {} at token {}, which stands for an image in this "
      "model: data/prepare_image_texts.py writes texts with their images",
      path_, what, *found, found - ids.begin());
}

void TokenFile::check_prompt(const std::string& name, const Prompt& prompt,
                             int64_t vocabulary) const {
  const auto largest = std::max_element(prompt.ids.begin(), prompt.ids.end());
  const auto limit = limit_of(vocabulary);
  require(*largest < limit, kKind,
          "{}: prompt \"{}\": expected ids below {} (the vocabulary of the model and of the "
          "tokenizer), found {} at token {}",
          path_, name, limit, *largest, largest - prompt.ids.begin());
}

void TokenFile::check_bos(int64_t vocabulary) const {
  const auto limit = limit_of(vocabulary);
  require(bos_id() < limit, kKind,
          "{}: bos_id: [corpus] bos = \"each_window\" puts it before each window: expected an id "
          "below {} (the vocabulary of the model and of the tokenizer), found {}",
          path_, limit, bos_id());
}

}  // namespace actsweep
