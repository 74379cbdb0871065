#include "stats/format_statistics.h"

#include <ATen/ATen.h>

#include <utility>

#include "measure/format_errors.h"
#include "schema/declare_statistics.h"

namespace actsweep {

FormatStatistics::FormatStatistics(Site site, std::vector<NumberFormat> formats,
                                   const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_format_errors(group_of(site, value_width_of(extents))), extents,
                         device)),
      formats_(std::move(formats)) {}

void FormatStatistics::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  const auto rows = measured.finite_rows(*batch.labels);
  if (rows.empty()) return;
  const auto errors = format_errors(batch.rows, rows, formats_);
  fields_.layer("format_error_square", batch.layer).add_(errors.error_square.sum(1));
  fields_.layer("format_square", batch.layer).add_(errors.square.sum());
}

}  // namespace actsweep
