#include "run/image_labels.h"

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/sha256.h"

namespace actsweep {

void check_labels(const SweepInputs& inputs) {
  const auto& images = *inputs.images;
  const auto& labels = images.labels();
  const int64_t classes = inputs.checkpoint.classifier()->classes;
  require(!labels.empty(), ErrorKind::kCorpus,
          "{}: label: missing; [statistics] classifier = \"{}\" needs the classes of the images: "
          "expected a file of data/prepare_images.py --labels",
          images.path(), *inputs.job.statistics.classifier);
  const auto largest = std::ranges::max_element(labels);
  require(
      *largest < classes, ErrorKind::kCorpus,
      "{}: label: expected one of the classifier's {} classes, counted from 0, found {} of image "
      "{}",
      images.path(), classes, *largest, largest - labels.begin());
}

std::string labels_hash(const std::vector<uint32_t>& labels) {
  Sha256 hash;
  hash.add(std::as_bytes(std::span(labels)));
  return hash.hex();
}

}  // namespace actsweep
