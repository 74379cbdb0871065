// Vectorised kernels over one row of float32 activations, for what a quantiser asks of it.
//
// In: a row of C finite values. Out: float64 sums that have the same bits on every instruction set,
// because lanes and the order of additions are fixed, and selections.
#pragma once

#include <span>

namespace actsweep::kernels {

/// Excess kurtosis of the row's values: C Σ(x − mean)⁴ / (Σ(x − mean)²)² − 3. NaN where they are
/// equal.
double excess_kurtosis(std::span<const float> row);

/// Lowers `lowest` [C] and raises `highest` [C] to the row's values.
void widen_extrema(std::span<const float> row, float* lowest, float* highest);

}  // namespace actsweep::kernels
