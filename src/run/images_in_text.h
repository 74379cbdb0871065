// Whether images fit the model that sees them: alone, and in the midst of text.
#pragma once

#include <string>

#include "run/inputs.h"

namespace actsweep {

/// As messages and identities have it.
std::string size_text(const ImageSize& size);

/// transformers interpolates the positions of square grids alone, and not those of every model:
/// refuses (kCorpus) other images.
void check_grid(const std::string& path, const ImageSize& size, const ImageFacts& facts);

/// Refuses (kCorpus) images in text of another size or with another number of tokens than the
/// model's, and windows that cut them; (kJob, kModel) what is not known where the tokens of an
/// image see each other.
void check_images_in_text(const SweepInputs& inputs);

}  // namespace actsweep
