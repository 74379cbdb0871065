// The model's fingerprint, made on one rank for all.
#pragma once

#include "comm/session.h"
#include "run/inputs.h"

namespace actsweep {

/// Collective over the world. Rank 0 reads what no earlier start has read of the weights, and says
/// every few seconds how far it is; all ranks set it.
void share_fingerprint(SweepInputs& inputs, const MpiSession& session);

}  // namespace actsweep
