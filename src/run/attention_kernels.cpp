#include "run/attention_kernels.h"

#include <fmt/format.h>

#include <set>

#include "kernels/attention.h"
#include "weights/share.h"
#include "weights/stage.h"

namespace actsweep {

std::vector<std::string> attention_kernels_of(const Architecture& architecture, const Job& job,
                                              at::Device device) {
  const auto share = share_of(architecture, job.parallel.tensor, 0);
  if (share.query_heads.size() == 0) return {};
  std::vector<std::string> lines;
  const std::set<int64_t> windows(architecture.window.begin(), architecture.window.end());
  for (const int64_t window : windows) {
    const AttentionShape shape = {job.corpus.sequence_length, share.query_heads.size(),
                                  share.key_heads.size(),     architecture.head_width,
                                  window,                     architecture.is_causal};
    lines.push_back(
        fmt::format("attention {}: ATen's {} kernel",
                    window > 0 ? fmt::format("in windows of {} tokens", window) : "without a window",
                    aten::fused_backend(shape, scalar_type(job.model.dtype), device)));
  }
  return lines;
}

}  // namespace actsweep
