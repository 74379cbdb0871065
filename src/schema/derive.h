// What is computed anew from merged fields: the table against the corpus median, super weights, and
// the perplexities.
//
// In: the fields of the residual and of the loss, merged over all segments or files. Out: the
// datasets declared as derived, and attributes of datasets. Refuses (ErrorKind::kOutput) a field
// that is missing or of another length. Mentions no tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "job/job.h"
#include "schema/event.h"

namespace actsweep {

/// Fields by path, each as the bytes of its declared type.
struct MergedFields {
  std::map<std::string, std::vector<std::byte>> values;
  int64_t layers = 0;
  int64_t channels = 0;
};

struct Derived {
  std::vector<Column> datasets;  // the declared datasets of Merge::kDerived
  int64_t findings = 0;          // length of Axis::kFinding
  /// Path of a dataset, name of its attribute, value.
  std::vector<std::tuple<std::string, std::string, double>> attributes;
};

/// The down projection's weight from a neuron to a channel in layer `layer` of the file; NaN where
/// it is not known.
using DownWeight = std::function<float(int64_t layer, int64_t neuron, int64_t channel)>;

/// A channel of a layer is a finding if its largest magnitude passes the criterion against the
/// lower edge of the magnitude bin that holds the layer's lower median; a median of 0 passes
/// nothing. The perplexities are attributes of loss/token_nll, or of loss/nll_sum where the job
/// keeps no rows; without a target they are NaN. Those of variants are datasets.
Derived derive(const Job& job, const MergedFields& fields, const DownWeight& down_weight);

}  // namespace actsweep
