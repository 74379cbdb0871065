#include "stats/register_moments.h"

#include <ATen/ATen.h>

#include "job/token_selector.h"
#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

/// The rows of the registers of images whose registers are all finite, image after image.
std::vector<int64_t> register_rows(const OwnedRows& labels, const Measured& measured) {
  std::vector<int64_t> rows;
  size_t token = 0;  // among the real ones
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * labels.padded_length;
    const size_t before = rows.size();
    bool is_finite = true;
    for (int64_t row = first; row < first + labels.windows[i].length(); ++row, ++token) {
      if (labels.token_class[row] != kRegisterClass) continue;
      rows.push_back(row);
      is_finite = is_finite && measured.is_finite[token] != 0;
    }
    if (!is_finite) rows.resize(before);
  }
  return rows;
}

}  // namespace

RegisterMoments::RegisterMoments(const Extents& extents, at::Device device)
    : Statistic(FieldSet(declare_register_moments(), extents, device)),
      registers_(extents.at(Axis::kRegister)) {}

void RegisterMoments::update(const SiteBatch& batch, const Measured& measured, const Outputs&) {
  const auto rows = register_rows(*batch.labels, measured);
  if (rows.empty()) return;
  const auto index = at::tensor(rows, at::kLong).to(batch.rows.device());
  const auto values =
      batch.rows.index_select(0, index).to(at::kDouble).view({-1, registers_, batch.rows.size(1)});
  fields_.layer("count", batch.layer).add_(values.size(0));
  fields_.layer("sum", batch.layer).add_(values.sum(0));
  fields_.layer("sum_square", batch.layer).add_(values.square().sum(0));
}

}  // namespace actsweep
