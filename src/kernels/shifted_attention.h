// Attention in which numbers are added to the scores of keys that differ from sequence to sequence.
//
// In: rows as `attend` takes them, and what is added. Out: what `attend` gives.
#pragma once

#include "kernels/attention.h"

namespace actsweep {

/// `shift` [n, query heads] float32, by the key's row: added to the scores of all queries on it,
/// behind the cap. Undefined: `attend` itself. Else one sequence after the other.
void attend_shifted(const at::Tensor& qkv, const AttentionCall& call, const at::Tensor& shift,
                    at::Tensor& out, AttentionSummary* summary = nullptr);

/// [n, key/value heads] -> [n, query heads]: of each query head what its key/value head has. Both
/// numbered as the runs of a rank have them, whose first key/value head is `first_key`.
at::Tensor of_query_heads(const at::Tensor& of_keys, const std::vector<HeadRun>& runs,
                          int64_t first_key);

}  // namespace actsweep
