#include "run/block_embedding.h"

#include <ATen/ATen.h>

#include <vector>

#include "base/error.h"
#include "model/embedding.h"

namespace actsweep {
namespace {

/// The pixels of the images that this rank owns; null for a padding sequence.
std::vector<const float*> pixels_of(const ImageFile& images, const OwnedRows& own) {
  std::vector<const float*> pixels(own.padded_sequences, nullptr);
  for (size_t i = 0; i < own.windows.size(); ++i) {
    pixels[i] = images.pixels(own.document[i * own.padded_length]);
  }
  return pixels;
}

/// The images in the text of the windows that this rank owns.
std::vector<const float*> pixels_in_text(const Corpus& corpus, const OwnedRows& own) {
  std::vector<const float*> pixels;
  for (const auto& window : own.windows) {
    const int64_t end = window.corpus_begin + window.corpus_length;
    for (const auto& image : corpus.images_among(window.corpus_begin, end)) {
      pixels.push_back(image.pixels);
    }
  }
  return pixels;
}

/// The rows of the tokens that stand for images.
at::Tensor places_of(const OwnedRows& own, int64_t image_id) {
  std::vector<int64_t> places;
  for (size_t row = 0; row < own.token_id.size(); ++row) {
    if (own.token_id[row] == image_id) places.push_back(static_cast<int64_t>(row));
  }
  return at::tensor(places, at::kLong);
}

}  // namespace

BlockEmbedding::BlockEmbedding(const SweepInputs& inputs, int64_t block_rows, at::Device device)
    : inputs_(inputs) {
  if (inputs.checkpoint.architecture().layer_inputs.width > 0) {
    layers_.emplace(inputs.checkpoint, block_rows, inputs.job.model.dtype, device);
  }
  if (inputs.images != nullptr) {
    const auto& size = inputs.images->size();
    images_.emplace(inputs.checkpoint, size.height, size.width);
  }
  if (inputs.tower == nullptr) return;
  const auto size = inputs.corpus.image_size();
  tower_.emplace(*inputs.tower,
                 ImageTower::Options{size.height, size.width, inputs.images_together(),
                                     inputs.job.model.dtype, inputs.job.parallel.weights, device});
}

/// Rows of images take the place of what was embedded for their tokens.
void BlockEmbedding::put_images(const OwnedRows& own, at::Tensor& rows) {
  const auto pixels = pixels_in_text(inputs_.corpus, own);
  if (pixels.empty()) return;
  const auto places = places_of(own, inputs_.checkpoint.image_tokens().front());
  const auto images = tower_->rows_of(pixels);
  ensure(images.size(0) == places.size(0), "each row of an image has its token");
  rows.index_copy_(0, places.to(rows.device()), images);
}

void BlockEmbedding::embed(const OwnedRows& own, int64_t first, at::Tensor& rows) {
  if (images_) return images_->embed(pixels_of(*inputs_.images, own), rows);
  actsweep::embed(inputs_.checkpoint, own.token_id, own.padded_length, rows);
  if (tower_) put_images(own, rows);
  if (layers_) layers_->keep(first, rows);
}

at::Tensor BlockEmbedding::layer_inputs(const OwnedRows& own, int64_t first, int64_t layer) {
  return layers_ ? layers_->of(layer, own.token_id, first) : at::Tensor();
}

}  // namespace actsweep
