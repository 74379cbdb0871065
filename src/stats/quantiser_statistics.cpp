#include "stats/quantiser_statistics.h"

#include <ATen/ATen.h>

#include <limits>

#include "schema/declare_statistics.h"

namespace actsweep {

QuantiserStatistics::QuantiserStatistics(Site site, const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_quantiser_statistics(group_of(site, value_width_of(extents))),
                         extents, device)) {}

void QuantiserStatistics::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  const auto rows = measured.finite_rows(*batch.labels);
  if (rows.empty()) return;
  const auto summary = summarise_rows(batch.rows, rows);
  const auto field = [&](const char* name) { return fields_.layer(name, batch.layer); };
  keep_largest(batch, summary);
  // Adding 0 makes a zero positive, whose sign would depend on which was seen first.
  field("channel_min").copy_(at::minimum(field("channel_min"), summary.lowest).add(0.0));
  field("channel_max").copy_(at::maximum(field("channel_max"), summary.highest).add(0.0));
  const auto varies = summary.kurtosis.isnan().logical_not();
  const auto largest =
      summary.kurtosis.masked_fill(varies.logical_not(), -std::numeric_limits<double>::infinity())
          .amax()
          .to(at::kFloat);
  field("kurtosis_count").add_(varies.sum());
  field("kurtosis_sum").add_(summary.kurtosis.nansum());
  field("kurtosis_max").copy_(at::maximum(field("kurtosis_max"), largest));
  field("block16_histogram").add_(summary.block16_histogram);
  field("block32_histogram").add_(summary.block32_histogram);
}

/// Where the magnitude is larger than all before, and than 0: the token of the first row that has
/// it. Tokens rise with rows and micro-batches, so that a tie leaves the first.
void QuantiserStatistics::keep_largest(const SiteBatch& batch, const QuantiserSummary& summary) {
  const auto field = [&](const char* name) { return fields_.layer(name, batch.layer); };
  const auto known = at::maximum(field("channel_min").neg(), field("channel_max")).clamp_min(0);
  const auto is_larger = at::maximum(summary.lowest.neg(), summary.highest).gt(known);
  const auto tokens = at::tensor(batch.labels->token_numbers(), at::kLong).to(is_larger.device());
  const auto found = tokens.index_select(0, summary.largest_row);
  field("channel_max_token").copy_(at::where(is_larger, found, field("channel_max_token")));
}

}  // namespace actsweep
