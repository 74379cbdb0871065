#include <cstdint>

namespace actsweep::cpu {
namespace {
constexpr int kVectorBytes = 16;
constexpr int kRows = 4;
}  // namespace
}  // namespace actsweep::cpu

#include "kernels/attention_kernel.inc"

namespace actsweep::cpu {

const AttentionKernel kAttentionBaseline = {
    kRows, kLanes, kScoreStride, 1, attend<Float32Words>, look_again<Float32Words>};

}  // namespace actsweep::cpu
