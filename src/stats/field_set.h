// The fields of one statistic: a tensor for each declared sum, maximum, minimum, and what goes with
// a maximum.
//
// In: declared datasets of fields whose axes have known lengths. Out: tensors that begin at the
// neutral value that is declared. Refuses (std::logic_error) a field that was not declared.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string_view>
#include <vector>

#include "schema/declare.h"

namespace actsweep {

/// A sum or maximum over the tokens of a segment, or what goes with a maximum.
struct Field {
  const Dataset* dataset = nullptr;
  at::Tensor values;  // [declared axes] of the dataset's type, on the statistics' device
};

/// What adds up fields over a segment.
class SegmentFields {
 public:
  virtual ~SegmentFields() = default;
  /// Sets all fields to their neutral value.
  virtual void begin_segment() = 0;
  /// The fields as they stand, to be reduced over the model group by their merge rules. A segment
  /// that begins leaves those alone that somebody holds.
  virtual std::vector<Field> fields() const = 0;
};

class FieldSet {
 public:
  FieldSet() = default;
  FieldSet(std::vector<Dataset> datasets, const Extents& extents, at::Device device);

  /// Sets all fields to their neutral value, in new tensors where others hold those of fields().
  void clear();
  /// The whole field whose path ends in "/name".
  at::Tensor values(std::string_view name) const;
  /// One layer of it.
  at::Tensor layer(std::string_view name, int64_t layer) const;
  /// Where it lies on its device, for kernels that add to it: until the fields are cleared.
  template <typename T>
  T* slot(std::string_view name, int64_t layer) const {
    return this->layer(name, layer).template mutable_data_ptr<T>();
  }
  std::vector<Field> fields() const;

 private:
  std::vector<Dataset> datasets_;
  std::vector<at::Tensor> values_;  // one a dataset
};

}  // namespace actsweep
