#include "run/config_plan.h"

#include <algorithm>
#include <filesystem>

#include "checkpoint/described_model.h"
#include "run/check_statistics.h"
#include "run/inputs.h"
#include "run/lifecycle_inputs.h"

namespace actsweep {
namespace {

int64_t tokens_per_image(const ImageFacts& image) {
  return image.rows * image.columns + image.class_tokens + image.registers;
}

/// The name of the file without its ending, where it is not called config.json; else its folder's.
std::string name_of_config(const std::string& path) {
  const auto file = std::filesystem::absolute(path).lexically_normal();
  return file.filename() == "config.json" ? file.parent_path().filename().string()
                                          : file.stem().string();
}

}  // namespace

SweepFacts facts_of_config(const std::string& path, Job job, int64_t tokens) {
  const auto model = describe_model(path, reading_of(job));
  auto architecture = model.architecture;
  architecture.name = name_of_config(path);
  const auto& image = architecture.image;
  const bool reads_images = architecture.reads_images();
  if (reads_images) job = with_image_windows(job, tokens_per_image(image));
  check_positions(architecture, job.corpus.sequence_length, path);
  resolve_lifecycle_channels(job);
  check_statistics(job, architecture, model.rows);
  const int64_t windows = std::max<int64_t>(1, tokens / job.corpus.sequence_length);
  const int64_t measured = windows * job.corpus.sequence_length;
  const auto kind = reads_images ? CorpusKind::kImages : CorpusKind::kText;
  const auto datasets = declare_datasets(job, input_facts(kind, architecture));
  const auto segments = plan_segments(windows, measured, job, job.parallel.tensor);
  return {job, architecture, model.rows, datasets, measured, windows, segments};
}

}  // namespace actsweep
