#include "run/segment_output.h"

#include <fmt/format.h>

#include "base/error.h"

namespace actsweep {

StepHook steps_of(const std::string& name, const StepHook& on_step) {
  if (!on_step) return {};
  return [name, on_step](std::string_view step) { on_step(fmt::format("{}: {}", name, step)); };
}

SegmentOutput::SegmentOutput(IoThread& io, const SegmentFolder& folder, const SegmentPart& part,
                             const std::vector<Dataset>& datasets, const Extents& extents,
                             const RowPlace& place)
    : io_(io),
      file_(std::make_shared<std::unique_ptr<SegmentFile>>()),
      on_step_(steps_of(words_of(part), folder.on_step)) {
  io_.submit(0, [file = file_, path = folder.path, attributes = folder.attributes, part, datasets,
                 extents, place] {
    *file = std::make_unique<SegmentFile>(path, part, datasets, extents, attributes, place);
  });
}

SegmentOutput::~SegmentOutput() {
  // The last reference goes to the I/O thread, which destroys the file even where it has failed.
  io_.submit(0, [file = std::move(file_)] { file->reset(); });
}

void SegmentOutput::write(const std::string& path, std::vector<int64_t> offset,
                          std::vector<int64_t> count, std::vector<std::byte> values) {
  const size_t bytes = values.size();
  io_.submit(bytes,
             [file = file_, path, offset = std::move(offset), count = std::move(count),
              values = std::move(values)] { (*file)->write(path, offset, count, values.data()); });
}

void SegmentOutput::write(const std::string& path, std::vector<int64_t> offset,
                          std::vector<int64_t> count, const at::Tensor& values) {
  ensure(values.is_cpu() && values.is_contiguous(), "contiguous values on the host are written");
  io_.submit(values.nbytes(),
             [file = file_, path, offset = std::move(offset), count = std::move(count), values] {
               (*file)->write(path, offset, count, values.const_data_ptr());
             });
}

void SegmentOutput::append(const std::string& path, int64_t count, std::vector<std::byte> values) {
  const size_t bytes = values.size();
  io_.submit(bytes, [file = file_, path, count, values = std::move(values)] {
    (*file)->append(path, count, values.data());
  });
}

void SegmentOutput::append(const std::string& path, int64_t count, const at::Tensor& values) {
  ensure(values.is_cpu() && values.is_contiguous(), "contiguous values on the host are appended");
  io_.submit(values.nbytes(), [file = file_, path, count, values] {
    (*file)->append(path, count, values.const_data_ptr());
  });
}

void SegmentOutput::finish(std::vector<RowCounts> of_microbatches) {
  io_.submit(0, [file = file_, on_step = on_step_, counts = std::move(of_microbatches)] {
    (*file)->finish(counts, on_step);
  });
}

void SegmentOutput::commit() {
  io_.submit(0, [file = file_, on_step = on_step_] { (*file)->commit(on_step); });
}

}  // namespace actsweep
