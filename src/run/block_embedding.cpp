#include "run/block_embedding.h"

#include <vector>

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

}  // namespace

BlockEmbedding::BlockEmbedding(const SweepInputs& inputs) : inputs_(inputs) {
  if (inputs.images == nullptr) return;
  images_.emplace(inputs.checkpoint, inputs.images->height(), inputs.images->width());
}

void BlockEmbedding::embed(const OwnedRows& own, at::Tensor& rows) const {
  if (images_) {
    images_->embed(pixels_of(*inputs_.images, own), rows);
  } else {
    actsweep::embed(inputs_.checkpoint, own.token_id, own.padded_length, rows);
  }
}

}  // namespace actsweep
