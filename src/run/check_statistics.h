// Whether a model can be measured as the job asks.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/architecture.h"
#include "checkpoint/tensor_rows.h"
#include "job/job.h"

namespace actsweep {

/// Why no row of a site of the model's layers can be seen: "has no dense MLP"; nothing where it
/// can.
std::optional<std::string> lack_of_site(Site site, const Architecture& architecture);

/// Refuses (kJob) statistics that ask for what the model lacks or that need others.
void check_statistics(const Job& job, const Architecture& architecture,
                      const std::vector<TensorRow>& rows);

}  // namespace actsweep
