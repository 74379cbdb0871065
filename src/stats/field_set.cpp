#include "stats/field_set.h"

#include <ATen/ATen.h>

#include <algorithm>

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

/// One layer of a field on the host, and what goes into it.
template <typename T>
struct LayerValues {
  T* field;
  const T* values;
  int64_t length;  // of the layer
  int64_t count;   // of values: a multiple of it
};

/// Calls `work` with a layer of `field` and `values`; false where they are not on the host.
template <typename Work>
bool on_host(const at::Tensor& field, int64_t layer, const at::Tensor& values, Work work) {
  if (!field.is_cpu()) return false;
  ensure(values.is_cpu() && values.is_contiguous() && values.scalar_type() == field.scalar_type(),
         "a field takes contiguous values of its own type");
  const int64_t length = field.numel() / field.size(0), count = values.numel();
  ensure(layer >= 0 && layer < field.size(0) && count % length == 0, "values fill a layer");
  const auto run = [&]<typename T>(T) {
    work(LayerValues<T>{field.mutable_data_ptr<T>() + layer * length, values.const_data_ptr<T>(),
                        length, count});
  };
  if (field.scalar_type() == at::kLong) {
    run(int64_t{});
  } else if (field.scalar_type() == at::kDouble) {
    run(double{});
  } else {
    run(float{});
  }
  return true;
}

}  // namespace

namespace by_operators {

void add(at::Tensor layer, const at::Tensor& values) { layer.add_(values); }
void add_total(at::Tensor layer, const at::Tensor& values) { layer.add_(values.sum(0)); }
void raise(at::Tensor layer, const at::Tensor& values) { at::maximum_out(layer, layer, values); }

}  // namespace by_operators

FieldSet::FieldSet(std::vector<Dataset> datasets, const Extents& extents, at::Device device)
    : datasets_(std::move(datasets)) {
  for (const auto& dataset : datasets_) {
    ensure(dataset.merge == Merge::kSum || dataset.merge == Merge::kMax,
           "a field is a sum or a maximum");
    std::vector<int64_t> sizes;
    for (const Axis axis : dataset.axes) {
      const auto extent = extents.find(axis);
      ensure(extent != extents.end(),
             "a field's axes have lengths that are known before the sweep");
      sizes.push_back(extent->second);
    }
    values_.push_back(at::zeros(sizes, at::TensorOptions(device).dtype(scalar_type(dataset.type))));
  }
}

void FieldSet::clear() {
  for (auto& values : values_) {
    if (values.use_count() == 1) {
      values.zero_();
    } else {
      values = at::zeros_like(values);  // who holds the last segment's may still write them
    }
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

void FieldSet::add(std::string_view name, int64_t layer, int64_t number) {
  const at::Tensor field = values(name);
  if (field.is_cpu() && field.dim() == 1 && field.scalar_type() == at::kLong) {
    field.mutable_data_ptr<int64_t>()[layer] += number;
  } else {
    field.select(0, layer).add_(number);
  }
}

void FieldSet::add(std::string_view name, int64_t layer, const at::Tensor& values) {
  const at::Tensor field = this->values(name);
  const bool is_done = on_host(field, layer, values, [](const auto& at) {
    for (int64_t i = 0; i < at.length; ++i) at.field[i] += at.values[i];
  });
  if (!is_done) by_operators::add(field.select(0, layer), values);
}

void FieldSet::add_total(std::string_view name, int64_t layer, const at::Tensor& values) {
  const at::Tensor field = this->values(name);
  const bool is_done = on_host(field, layer, values, [](const auto& at) {
    for (int64_t i = 0; i < at.length; ++i) {
      auto total = at.values[i];
      for (int64_t j = i + at.length; j < at.count; j += at.length) total += at.values[j];
      at.field[i] += total;
    }
  });
  if (!is_done) by_operators::add_total(field.select(0, layer), values);
}

void FieldSet::raise(std::string_view name, int64_t layer, const at::Tensor& values) {
  const at::Tensor field = this->values(name);
  const bool is_done = on_host(field, layer, values, [](const auto& at) {
    for (int64_t i = 0; i < at.length; ++i) at.field[i] = std::max(at.field[i], at.values[i]);
  });
  if (!is_done) by_operators::raise(field.select(0, layer), values);
}

std::vector<Field> FieldSet::fields() const {
  std::vector<Field> fields;
  for (size_t i = 0; i < datasets_.size(); ++i) fields.push_back({&datasets_[i], values_[i]});
  return fields;
}

}  // namespace actsweep
