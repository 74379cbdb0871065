// Values of all positions as rows of the real tokens.
#pragma once

#include <ATen/core/Tensor.h>

#include "corpus/window.h"
#include "stats/row_sink.h"

namespace actsweep {

/// `values` [own.padded_sequences, own.padded_length], or with a third axis of what each token has,
/// of the dataset's element type, on the host; those of padding are left out.
void append_token_rows(const Dataset& dataset, const at::Tensor& values, const OwnedRows& own,
                       RowSink& sink);

}  // namespace actsweep
