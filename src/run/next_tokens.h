// What each owned row of a micro-batch is to predict: the token behind it in its window.
#pragma once

#include <ATen/core/Tensor.h>

#include "corpus/window.h"

namespace actsweep {

struct NextTokens {
  at::Tensor id;         // [row_count] int64 on the host; 0 where there is none
  at::Tensor is_absent;  // [row_count] bool on the host
};

/// A window's last row predicts nothing, nor does a model's sink token, which is a window's first
/// row where the model `has_sink`.
NextTokens next_tokens(const OwnedRows& labels, bool has_sink);

}  // namespace actsweep
