#include "stats/field_set.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace actsweep {

namespace {

at::ScalarType scalar_type(ElementType type) {
  switch (type) {
    case ElementType::kInt64:
      return at::kLong;
    case ElementType::kFloat32:
      return at::kFloat;
    case ElementType::kFloat64:
      return at::kDouble;
    default:
      ensure(false, "a field is of int64, float32 or float64");
      return at::kLong;
  }
}

}  // namespace

FieldSet::FieldSet(std::vector<Dataset> datasets, const Extents& extents, at::Device device)
    : datasets_(std::move(datasets)) {
  for (const auto& dataset : datasets_) {
    ensure(is_field(dataset), "a field is a sum, a maximum, a minimum, or goes with a maximum");
    std::vector<int64_t> sizes;
    for (const Axis axis : dataset.axes) {
      const auto extent = extents.find(axis);
      ensure(extent != extents.end(),
             "a field's axes have lengths that are known before the sweep");
      sizes.push_back(extent->second);
    }
    values_.push_back(at::full(sizes, dataset.neutral,
                               at::TensorOptions(device).dtype(scalar_type(dataset.type))));
  }
}

void FieldSet::clear() {
  for (size_t i = 0; i < values_.size(); ++i) {
    // Who holds the last segment's may still write them.
    if (values_[i].use_count() > 1) values_[i] = at::empty_like(values_[i]);
    values_[i].fill_(datasets_[i].neutral);
  }
}

at::Tensor FieldSet::values(std::string_view name) const {
  for (size_t i = 0; i < datasets_.size(); ++i) {
    const std::string_view path = datasets_[i].path;
    if (path.substr(path.rfind('/') + 1) == name) return values_[i];
  }
  ensure(false, "a field was declared");
  return {};
}

at::Tensor FieldSet::layer(std::string_view name, int64_t layer) const {
  return values(name).select(0, layer);
}

std::vector<Field> FieldSet::fields() const {
  std::vector<Field> fields;
  for (size_t i = 0; i < datasets_.size(); ++i) fields.push_back({&datasets_[i], values_[i]});
  return fields;
}

}  // namespace actsweep
