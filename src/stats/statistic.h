// The interface of a statistic: a small class that takes what it writes from the measurement of
// each micro-batch.
//
// In: micro-batches of one site, measured. Out: rows and events at once, fields per layer that add
// up over a segment. Datasets are declared by the function of the same name in
// declare_statistics.h.
#pragma once

#include <vector>

#include "measure/measurement.h"
#include "schema/event.h"
#include "stats/field_set.h"
#include "stats/row_sink.h"

namespace actsweep {

/// Where a micro-batch's rows and events go.
struct Outputs {
  RowSink& sink;
  std::vector<Event>& events;
};

class Statistic {
 public:
  virtual ~Statistic() = default;
  /// Sets all fields to their neutral value.
  virtual void begin_segment() {}
  virtual void update(const SiteBatch& batch, const Measured& measured, const Outputs& outputs) = 0;
  /// A layer without the site: `nothing` measured.
  virtual void skip(const SiteBatch&, const Measured& /*nothing*/, const Outputs&) {}
  virtual std::vector<Field> fields() const { return {}; }
};

}  // namespace actsweep
