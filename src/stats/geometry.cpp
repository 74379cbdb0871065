#include "stats/geometry.h"

#include <ATen/ATen.h>

#include "schema/declare_statistics.h"
#include "stats/participation.h"
#include "stats/row_cosines.h"
#include "stats/token_rows.h"

namespace actsweep {

Geometry::Geometry(const Job& job)
    : of_tokens_(declare_cosines(job.output.per_token)), of_sequences_(declare_participation()) {}

void Geometry::update(const at::Tensor& rows, const at::Tensor& before, const OwnedRows& own,
                      RowSink& sink) const {
  if (!of_tokens_.empty()) append_tokens(rows, before, own, sink);
  append_sequences(rows, own, sink);
}

void Geometry::append_tokens(const at::Tensor& rows, const at::Tensor& before, const OwnedRows& own,
                             RowSink& sink) const {
  const auto cosines = row_cosines(rows, before, own.padded_length);
  const auto append = [&](const Dataset& dataset, const at::Tensor& values) {
    const auto by_sequence = values.view({own.padded_sequences, own.padded_length});
    append_token_rows(dataset, by_sequence.to(at::kCPU), own, sink);
  };
  append(of_tokens_[0], cosines.first);
  append(of_tokens_[1], cosines.previous);
}

void Geometry::append_sequences(const at::Tensor& rows, const OwnedRows& own, RowSink& sink) const {
  std::vector<at::Tensor> ratios;  // [2] each
  for (size_t i = 0; i < own.windows.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * own.padded_length;
    ratios.push_back(participation_of(rows.narrow(0, first, own.windows[i].length())));
  }
  if (ratios.empty()) return;
  const auto all = at::stack(ratios, 1).to(at::kFloat).to(at::kCPU).contiguous();  // [2, windows]
  const std::span values(all.const_data_ptr<float>(), static_cast<size_t>(all.numel()));
  sink.append(of_sequences_[0], bytes_of(values.first(ratios.size())));
  sink.append(of_sequences_[1], bytes_of(values.last(ratios.size())));
}

}  // namespace actsweep
