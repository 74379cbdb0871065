#include "run/images_in_text.h"

#include "base/error.h"

namespace actsweep {

std::string size_text(const ImageSize& size) {
  return fmt::format("{} x {}", size.height, size.width);
}

void check_grid(const std::string& path, const ImageSize& size, const ImageFacts& facts) {
  const int64_t rows = size.height / facts.patch, columns = size.width / facts.patch;
  const bool is_fixed = facts.positions == PatchPositions::kFixed;
  const bool is_square = facts.rows == facts.columns;
  const bool fits_any = facts.positions == PatchPositions::kNone ||
                        facts.positions == PatchPositions::kWaves || (is_square && !is_fixed);
  require(fits_any || (rows == facts.rows && columns == facts.columns), ErrorKind::kCorpus,
          "{}: pixels: expected images of {} x {} patches of {} pixels, because the model's "
          "positions {}cannot be interpolated, found {} x {} patches in {} x {} pixels",
          path, facts.rows, facts.columns, facts.patch, is_square ? "" : "form no square and ",
          rows, columns, size.height, size.width);
}

namespace {

/// Of a model in which the tokens of an image see each other.
void check_whole_images(const SweepInputs& inputs, int64_t tokens) {
  const auto& job = inputs.job;
  const auto& checkpoint = inputs.checkpoint;
  require(
      !job.sees_gathered_rows() && !job.statistics.value_updates, ErrorKind::kJob,
      "[statistics]: what is measured of attention is under a causal mask, and the tokens of an "
      "image see each other in {}; expected statistics of rows alone",
      checkpoint.directory());
  for (const int64_t window : checkpoint.architecture().window) {
    require(window == 0 || window >= tokens, ErrorKind::kModel,
            "{}: \"sliding_window\": expected at least the {} tokens of an image, found {}",
            checkpoint.directory(), tokens, window);
  }
}

}  // namespace

void check_images_in_text(const SweepInputs& inputs) {
  const auto size = inputs.corpus.image_size();
  const auto& a = inputs.tower->architecture();
  const auto& projector = *inputs.tower->projector();
  const auto& image = a.image;
  auto facts = image;
  if (projector.is_of_one_size) facts.positions = PatchPositions::kFixed;
  check_grid(inputs.corpus.path(), size, facts);
  const int64_t rows = size.height / image.patch, columns = size.width / image.patch;
  require(projector.merged == 1 || (rows == columns && rows % projector.merged == 0),
          ErrorKind::kCorpus,
          "{}: images/pixels: expected a square of patches of {} pixels that {} x {} divide, found "
          "{} x {} pixels",
          inputs.corpus.path(), image.patch, projector.merged, projector.merged, size.height,
          size.width);
  const int64_t expected = projector.tokens_of(inputs.tower_tokens());
  if (projector.sees_images_whole) check_whole_images(inputs, expected);
  for (const auto& each : inputs.corpus.images()) {
    require(each.tokens == expected, ErrorKind::kCorpus,
            "{}: images/tokens: the model makes {} tokens of an image of {} pixels, found {} from "
            "token {} on",
            inputs.corpus.path(), expected, size_text(size), each.tokens, each.first_token);
    require(
        !inputs.windows.cuts(each.first_token, each.end()), ErrorKind::kCorpus,
        "{}: the tokens {} to {} stand for an image, which a window of {} tokens cuts: expected "
        "[corpus] windows = \"per_document\" and a sequence_length that holds whole documents",
        inputs.corpus.path(), each.first_token, each.end() - 1, inputs.job.corpus.sequence_length);
  }
}

}  // namespace actsweep
