// The activations of MLPs and mixers.
#pragma once

namespace actsweep {

enum class Activation {
  kSilu,
  kGelu,
  kGeluTanh,
  kRelu,
  kQuickGelu,   // x sigmoid(1.702 x)
  kSquaredRelu  // max(x, 0)^2 (arXiv 2109.08668)
};

}  // namespace actsweep
