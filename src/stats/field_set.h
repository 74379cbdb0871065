// The fields of one statistic: a tensor for each declared sum or maximum.
//
// In: declared datasets of Merge::kSum or Merge::kMax whose axes have known lengths. Out: tensors
// that begin at 0, the neutral value of a sum and of a maximum of magnitudes. Refuses
// (std::logic_error) a field that was not declared.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string_view>
#include <vector>

#include "schema/declare.h"

namespace actsweep {

/// A sum or maximum over the tokens of a segment.
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

/// What FieldSet does to a layer that is not on the host, by operators of ATen, for any device.
namespace by_operators {
void add(at::Tensor layer, const at::Tensor& values);
void add_total(at::Tensor layer, const at::Tensor& values);
void raise(at::Tensor layer, const at::Tensor& values);
}  // namespace by_operators

class FieldSet {
 public:
  FieldSet(std::vector<Dataset> datasets, const Extents& extents, at::Device device);

  /// Sets all fields to zero, in new tensors where others hold those of fields().
  void clear();
  /// The whole field whose path ends in "/name".
  at::Tensor values(std::string_view name) const;
  /// One layer of it.
  at::Tensor layer(std::string_view name, int64_t layer) const;

  // Into one layer of a field, from contiguous tensors of its type: on the host by plain loops,
  // because an operator of ATen takes longer than the few values do.
  void add(std::string_view name, int64_t layer, int64_t number);
  void add(std::string_view name, int64_t layer, const at::Tensor& values);
  /// The sum of `values` over their first axis.
  void add_total(std::string_view name, int64_t layer, const at::Tensor& values);
  /// The larger of both.
  void raise(std::string_view name, int64_t layer, const at::Tensor& values);
  std::vector<Field> fields() const;

 private:
  std::vector<Dataset> datasets_;
  std::vector<at::Tensor> values_;  // one a dataset
};

}  // namespace actsweep
