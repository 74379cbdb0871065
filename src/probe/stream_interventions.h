// The interventions of one stream: those of the sweep itself, or a variant's beside them.
//
// In: rows of a site and a layer. Out: the same, changed by all that apply there, in the order of
// the job, and what each did.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "comm/group.h"
#include "probe/intervention.h"
#include "weights/share.h"

namespace actsweep {

/// An intervention as one stream has it.
struct StreamIntervention {
  size_t number = 0;     // in the job
  bool is_heard = true;  // not where a variant has it of the original
  Intervention intervention;
};

/// Weights that a stream has otherwise: as they were when this ends.
class ChangedWeights {
 public:
  ChangedWeights() = default;
  ChangedWeights(ChangedWeights&& other) = default;
  ~ChangedWeights();

  /// `element`: a view of one weight.
  void change(const at::Tensor& element, double value);

 private:
  struct Kept {
    at::Tensor element, value;
  };
  std::vector<Kept> kept_;  // in the order of the changes
};

class StreamInterventions {
 public:
  /// What an intervention changed, by its number in the job.
  using OnChange = std::function<void(size_t intervention, const Intervention::Counts& counts)>;

  StreamInterventions() = default;
  explicit StreamInterventions(std::vector<StreamIntervention> all);

  /// From here on it is told, and nobody else; may be empty.
  void tell(OnChange on_change) { on_change_ = std::move(on_change); }

  bool apply_at(Site site, int64_t layer) const;
  /// Collective over the model group. `rows` [labels.row_count(), channels of the site] float32,
  /// owned rows. `layer` as in the file.
  void apply(Site site, int64_t layer, const OwnedRows& labels, at::Tensor& rows,
             const Group& group) const;

  bool shift_scores_at(int64_t layer) const;
  /// Collective over the model group. Writes what is added to the scores on gathered rows' keys:
  /// [n, key/value heads] float32.
  void shift_scores(int64_t layer, const OwnedRows& labels, const at::Tensor& shift,
                    const Group& group) const;

  bool bar_experts_at(int64_t layer) const;
  /// Collective over the model group. Sets to 1 the experts that gathered rows may not choose:
  /// [n, experts] int64.
  void bar_experts(int64_t layer, const OwnedRows& labels, const at::Tensor& is_barred,
                   const Group& group) const;

  bool silence_experts_at(int64_t layer) const;
  /// Collective over the model group. Sets weights of the experts that gathered rows have chosen
  /// to 0; both [n, chosen].
  void silence_experts(int64_t layer, const OwnedRows& labels, const at::Tensor& expert,
                       const at::Tensor& weight, const Group& group) const;

  /// Of the dense down projection [C, neurons of this rank] in a layer that `labels` pass.
  ChangedWeights change_weights(int64_t layer, const OwnedRows& labels, const at::Tensor& down,
                                Share neurons) const;

 private:
  using Write = Intervention::Counts (Intervention::*)(const OwnedRows&, at::Tensor&) const;
  using AppliesAt = bool (Intervention::*)(int64_t) const;

  bool any_at(AppliesAt applies, int64_t layer) const;
  void write_gathered(AppliesAt applies, Write write, int64_t layer, const OwnedRows& labels,
                      const at::Tensor& gathered, const Group& group) const;
  void report(const StreamIntervention& one, const Intervention::Counts& counts) const;

  std::vector<StreamIntervention> all_;
  OnChange on_change_;
};

}  // namespace actsweep
