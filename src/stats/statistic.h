// The interface of a statistic: a small class that takes what it writes from the measurement of
// each micro-batch.
//
// In: micro-batches of one site, measured. Out: rows and events at once, fields per layer that add
// up over a segment: in place, where the measurement has slots for them. Datasets are declared by
// the function of the same name in declare_statistics.h.
#pragma once

#include <utility>
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
  /// Sets all fields to their neutral value; slots handed over before are no more.
  void begin_segment() { fields_.clear(); }
  /// Sets those slots that are places in one layer of its fields.
  virtual void hand_over(int64_t /*layer*/, Slots&) const {}
  virtual void update(const SiteBatch&, const Measured&, const Outputs&) {}
  /// A layer without the site: `nothing` measured.
  virtual void skip(const SiteBatch&, const Measured& /*nothing*/, const Outputs&) {}
  std::vector<Field> fields() const { return fields_.fields(); }

 protected:
  Statistic() = default;  // without fields
  explicit Statistic(FieldSet fields) : fields_(std::move(fields)) {}

  FieldSet fields_;
};

}  // namespace actsweep
