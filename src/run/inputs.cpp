#include "run/inputs.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "base/error.h"
#include "checkpoint/tokenizer.h"
#include "corpus/corpus_file.h"
#include "corpus/masked_text.h"
#include "run/check_statistics.h"
#include "run/corpus_identity.h"
#include "run/image_labels.h"
#include "run/images_in_text.h"
#include "run/lifecycle_inputs.h"
#include "run/requests.h"
#include "schema/declare_statistics.h"

namespace actsweep {

namespace {

constexpr std::string_view kSinkName = "[SINK]";

PatchLayout patch_layout(const ImageFacts& facts) {
  return {facts.patch, facts.class_tokens, facts.registers};
}

std::string wanted_corpus(const Checkpoint& checkpoint) {
  if (checkpoint.architecture().reads_images()) return "an image file of data/prepare_images.py";
  const std::string text = "a token file of data/prepare_corpus.py";
  return checkpoint.is_part() ? text + ", or [model] vision = true, which reads images" : text;
}

/// The text with its masked tokens, where the job asks for them and the model has a mask.
std::shared_ptr<const Corpus> masked(TokenFileList text, const Job::Corpus& job,
                                     const Architecture& a) {
  require(job.mask_ratio || !job.mask_seed, ErrorKind::kJob,
          "[corpus] mask_seed = {}: expected mask_ratio beside it", job.mask_seed.value_or(0));
  if (!job.mask_ratio) return std::make_shared<const TokenFileList>(std::move(text));
  require(*job.mask_ratio <= 1, ErrorKind::kJob, "[corpus] mask_ratio = {}: expected at most 1",
          *job.mask_ratio);
  require(a.mask_id >= 0, ErrorKind::kJob,
          "[corpus] mask_ratio = {}: {} has no \"mask_token_id\"; expected a model that predicts "
          "masked tokens",
          *job.mask_ratio, a.family);
  const Masking masking = {static_cast<uint32_t>(a.mask_id), *job.mask_ratio,
                           static_cast<uint64_t>(job.mask_seed.value_or(0))};
  return std::make_shared<const MaskedText>(std::move(text), masking);
}

/// Refuses a corpus of another kind than the model reads.
void check_kind(const std::string& path, const Checkpoint& checkpoint) {
  const auto& a = checkpoint.architecture();
  const auto kind = kind_of_corpus(path);
  require(a.reads_images() == (kind == CorpusKind::kImages), ErrorKind::kCorpus,
          "{}: {} of type \"{}\" reads {}: expected {}, found a corpus of {}", path,
          checkpoint.directory(), a.family, a.reads_images() ? "images" : "text",
          wanted_corpus(checkpoint), name_of(kind));
}

/// Refuses ids that stand for images which the file does not have.
void check_image_tokens(const TokenFile& file, const Checkpoint& checkpoint) {
  auto other = checkpoint.image_tokens();
  if (!file.images().empty()) {
    require(!other.empty(), ErrorKind::kCorpus,
            "{}: images: {} of type \"{}\" reads text alone: expected none, found {}", file.path(),
            checkpoint.directory(), checkpoint.architecture().family, file.images().size());
    file.check_images(static_cast<uint32_t>(other.front()));
    other.erase(other.begin());
  }
  file.check_text("ids", file.ids(), other);
}

/// The tower of the images in a corpus' text; null where there are none.
std::unique_ptr<const Checkpoint> open_tower(const Job& job, const Corpus& corpus) {
  if (corpus.images().empty()) return nullptr;
  require(!job.corpus.mask_ratio, ErrorKind::kJob,
          "[corpus] mask_ratio: {} has images in its text; expected text alone", corpus.path());
  return std::make_unique<const Checkpoint>(job.model.path, Reading::kImagesInText);
}

/// Refuses what the job takes of a file beyond the model's rows.
void check_tokens(const TokenFile& file, const Job& job, const Checkpoint& checkpoint) {
  const int64_t vocabulary = checkpoint.architecture().vocabulary;
  file.check_ids(vocabulary);
  check_image_tokens(file, checkpoint);
  if (job.corpus.bos == BosPolicy::kEachWindow) file.check_bos(vocabulary);
  for (const auto& name : job.capture.prompts) {
    if (!file.has_prompt(name)) continue;
    const auto prompt = file.prompt(name);
    file.check_prompt(name, prompt, vocabulary);
    file.check_text(fmt::format("prompt \"{}\"", name), prompt.ids, checkpoint.image_tokens());
  }
}

/// Opens the corpus as the model reads it.
std::shared_ptr<const Corpus> open_corpus(const Job& job, const Checkpoint& checkpoint) {
  const auto& paths = job.corpus.paths;
  for (const auto& path : paths) check_kind(path, checkpoint);
  const auto& a = checkpoint.architecture();
  if (a.reads_images()) {
    require(paths.size() == 1, ErrorKind::kCorpus,
            "{}: [corpus] path: expected one image file, found a list of {}", paths.front(),
            paths.size());
    require(!job.corpus.mask_ratio, ErrorKind::kJob,
            "[corpus] mask_ratio: {} reads images; expected a model of text", a.family);
    auto images = std::make_shared<const ImageFile>(paths.front(), patch_layout(a.image));
    check_grid(images->path(), images->size(), a.image);
    return images;
  }
  std::vector<std::unique_ptr<const TokenFile>> files;
  for (const auto& path : paths) {
    check_tokens(*files.emplace_back(std::make_unique<const TokenFile>(path)), job, checkpoint);
  }
  return masked(TokenFileList(std::move(files)), job.corpus, a);
}

InputFacts input_facts(const Corpus& corpus, const Architecture& architecture) {
  auto facts = input_facts(corpus.kind(), architecture);
  facts.has_roles = corpus.has_roles();
  facts.has_requests = !corpus.requests().empty();
  return facts;
}

/// The id of the model's sink token: the one behind its vocabulary.
std::optional<uint32_t> sink_id(const Architecture& a) {
  if (!a.has_sink_token) return std::nullopt;
  return static_cast<uint32_t>(a.vocabulary);
}

/// The job of a corpus, whose windows are images where it has images.
Job with_windows_of(const Job& job, const ImageFile* images) {
  return images == nullptr ? job : with_image_windows(job, images->tokens_per_image());
}

}  // namespace

Job with_image_windows(Job job, int64_t tokens_per_image) {
  require(job.corpus.bos == BosPolicy::kNone, ErrorKind::kJob,
          "[corpus] bos = \"each_window\": images have no BOS; expected \"none\"");
  require(!job.statistics.loss, ErrorKind::kJob,
          "[statistics] loss = true: a model of images predicts no next token; expected false");
  job.corpus.sequence_length = tokens_per_image;
  job.corpus.windows = WindowPolicy::kPacked;
  return job;
}

SweepInputs::SweepInputs(const Job& wanted)
    : job(wanted),
      checkpoint(job.model.path, reading_of(job), job.statistics.classifier),
      opened_corpus(open_corpus(job, checkpoint)),
      corpus(*opened_corpus),
      images(std::dynamic_pointer_cast<const ImageFile>(opened_corpus)),
      tower(open_tower(job, corpus)),
      windows(corpus, (job = with_windows_of(job, images.get())).corpus,
              sink_id(checkpoint.architecture())),
      segments(plan_segments(windows, job, job.parallel.tensor)),
      datasets(declare_datasets(job, input_facts(corpus, checkpoint.architecture()))),
      intervention_means(open_interventions(job, checkpoint.architecture(), corpus.kind())) {
  if (job.statistics.loss) checkpoint.require_head();
  for (const auto& name : job.capture.prompts) {
    auto& prompt = prompts[name] = corpus.prompt(name);
    if (const auto sink = sink_id(checkpoint.architecture())) {
      prompt.ids.insert(prompt.ids.begin(), *sink);
    }
  }
  check_lengths();
  if (tower) check_images_in_text(*this);
  if (checkpoint.classifier()) check_labels(*this);
  lifecycle_model = resolve_lifecycle_channels(job);
  if (!corpus.requests().empty()) check_requests(*this);
  check_statistics(job, checkpoint.architecture(), checkpoint.rows());
  require(job.statistics.classes != Classes::kRole || corpus.has_roles(), ErrorKind::kCorpus,
          "{}: [statistics] classes = \"role\": expected chats, of data/prepare_corpus.py "
          "--messages-field, found none (no token_role)",
          corpus.path());
  if (const auto& from = job.statistics.attention_from) {
    earlier_events = read_earlier_events(*from, identity(1));
  }
}

void SweepInputs::set_model_fingerprint(const std::string& fingerprint) {
  model_fingerprint = fingerprint;
  check_sources(job, intervention_means, fingerprint);
  check_lifecycle_model(job, lifecycle_model, fingerprint);
}

void check_positions(const Architecture& a, int64_t longest, const std::string& model) {
  if (a.position_rows == 0 || a.reads_images()) return;
  if (a.has_sink_token) longest -= 1;  // which has no position
  require(
      longest + a.position_offset <= a.position_rows, ErrorKind::kModel,
      "{}: the model has learned positions up to {}: expected windows and prompts of at most as "
      "many tokens, found {}",
      model, a.position_rows - a.position_offset, longest);
}

void SweepInputs::check_lengths() const {
  int64_t longest = job.corpus.sequence_length;
  for (const auto& [name, prompt] : prompts) {
    longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
  }
  check_positions(checkpoint.architecture(), longest, checkpoint.directory());
}

int64_t SweepInputs::tower_tokens() const {
  const auto size = corpus.image_size();
  const auto& image = tower->architecture().image;
  return image.class_tokens + image.registers +
         (size.height / image.patch) * (size.width / image.patch);
}

int64_t SweepInputs::images_together() const {
  const int64_t rows =
      segments.windows_per_microbatch / job.parallel.tensor * job.corpus.sequence_length;
  return std::max<int64_t>(1, rows / tower_tokens());
}

std::vector<std::byte> SweepInputs::vocabulary_bytes() const {
  auto bytes = corpus.vocabulary_bytes();
  if (checkpoint.architecture().has_sink_token) {
    const auto name = std::as_bytes(std::span(kSinkName));
    bytes.insert(bytes.end(), name.begin(), name.end());
  }
  return bytes;
}

std::vector<uint64_t> SweepInputs::vocabulary_offset() const {
  auto offset = corpus.vocabulary_offset();
  if (const auto sink = sink_id(checkpoint.architecture())) {
    offset.resize(*sink + 1, offset.back());  // ids that no tokenizer gives have no bytes
    offset.push_back(offset.back() + kSinkName.size());
  }
  return offset;
}

std::vector<std::string> SweepInputs::warnings() const {
  auto found = checkpoint.warnings();
  if (tower) found.insert(found.end(), tower->warnings().begin(), tower->warnings().end());
  if (images != nullptr) {
    const auto& facts = checkpoint.architecture().image;
    const int64_t rows = images->size().height % facts.patch;
    const int64_t columns = images->size().width % facts.patch;
    if (rows != 0 || columns != 0) {
      found.push_back(fmt::format(
          "{}: pixels: patches of {} x {} do not divide images of {} x {}: {} pixels below and {} "
          "at the right are left out, as in transformers",
          images->path(), facts.patch, facts.patch, images->size().height, images->size().width,
          rows, columns));
    }
    return found;
  }
  const auto expected = tokenizer_fingerprint(checkpoint.directory());
  if (expected && *expected != corpus.tokenizer_fingerprint()) {
    found.push_back(fmt::format(
        "{}: made with another tokenizer than {}'s: expected tokenizer_fingerprint {}, found {}",
        corpus.path(), checkpoint.directory(), *expected, corpus.tokenizer_fingerprint()));
  }
  const auto doubled = doubled_bos_warning(corpus, windows, job.corpus.bos);
  if (!doubled.empty()) found.push_back(doubled);
  return found;
}

InputFacts input_facts(CorpusKind corpus, const Architecture& architecture) {
  return {corpus, architecture.experts.count > 0, architecture.image.registers,
          value_width_of(architecture)};
}

SweepFacts SweepInputs::facts() const {
  return {.job = job,
          .architecture = checkpoint.architecture(),
          .rows = checkpoint.rows(),
          .datasets = datasets,
          .tokens = windows.tokens(),
          .sequences = windows.windows(),
          .segments = segments,
          .quantisation = checkpoint.quantisation().text(),
          .stored_bytes = checkpoint.stored_bytes(),
          .tower = tower_facts()};
}

std::optional<TowerFacts> SweepInputs::tower_facts() const {
  if (!tower) return std::nullopt;
  return TowerFacts{tower->architecture(), tower->rows(), tower_tokens(), images_together(),
                    static_cast<int64_t>(corpus.images().size())};
}

void set_threads(std::optional<int64_t> threads, nlohmann::json& identity) {
  identity.erase("parallel.threads");
  if (threads) identity["parallel.threads"] = *threads;
}

nlohmann::json SweepInputs::identity(std::optional<int64_t> threads) const {
  auto identity = identity_of(job);
  set_threads(threads, identity);
  identity["model.fingerprint"] = model_fingerprint;
  if (tower) {
    identity["model.tower_fingerprint"] = tower_fingerprint;
    identity["corpus.image_size"] = size_text(corpus.image_size());
  }
  if (!classifier_fingerprint.empty()) {
    identity["statistics.classifier"] = classifier_fingerprint;
    identity["corpus.labels_fingerprint"] = labels_hash(images->labels());
    identity["corpus.label_names"] = images->label_names();
  }
  add_corpus_identity(corpus, prompts, identity);
  if (images != nullptr) {
    identity["corpus.image_size"] = size_text(images->size());
  }
  if (const auto& fingerprint = earlier_events.fingerprint; !fingerprint.empty()) {
    identity["statistics.attention_from"] = fingerprint;
  }
  for (size_t i = 0; i < intervention_means.size(); ++i) {
    const auto& fingerprint = intervention_means[i].fingerprint;
    if (!fingerprint.empty()) identity[fmt::format("intervention.{}.from", i + 1)] = fingerprint;
  }
  identity["corpus.windows_per_segment"] = segments.windows_per_segment;
  identity["corpus.windows_per_microbatch"] = segments.windows_per_microbatch;
  return identity;
}

}  // namespace actsweep
