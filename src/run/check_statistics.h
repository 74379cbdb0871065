// Whether a model can be measured as the job asks.
#pragma once

#include "checkpoint/architecture.h"
#include "checkpoint/tensor_rows.h"
#include "job/job.h"

namespace actsweep {

/// Refuses (kJob) statistics that ask for what the model lacks or that need others.
void check_statistics(const Job& job, const Architecture& architecture,
                      const std::vector<TensorRow>& rows);

}  // namespace actsweep
