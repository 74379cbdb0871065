#include "run/captured_attention.h"

#include <ATen/ATen.h>

#include <limits>

#include "stats/attention_scores.h"
#include "weights/share.h"

namespace actsweep {

CapturedAttention no_attention(int64_t heads, int64_t tokens) {
  const auto nothing =
      at::full({heads, tokens, tokens}, std::numeric_limits<float>::quiet_NaN(), at::kFloat);
  return {nothing, nothing};
}

CapturedAttention captured_attention(const Architecture& architecture, const Group& group,
                                     const AttentionView& view, int64_t tokens) {
  const auto mine = share_of(architecture, group.size(), group.rank()).query_heads;
  const auto options = view.output_weight.options().dtype(at::kFloat);
  CapturedAttention whole = {at::zeros({architecture.heads, tokens, tokens}, options),
                             at::zeros({architecture.heads, tokens, tokens}, options)};
  const auto positions = at::arange(tokens, options.dtype(at::kLong));
  if (mine.size() > 0) {
    const auto scores = scores_on(view, sequence_heads(view, 0, tokens), positions);
    whole.logit.narrow(0, mine.begin, mine.size()).copy_(scores.score);
    whole.probability.narrow(0, mine.begin, mine.size()).copy_(scores.probability);
  }
  group.all_reduce(whole.logit, Reduction::kSum);
  group.all_reduce(whole.probability, Reduction::kSum);
  const auto hidden = visible_keys(view.call.shape, tokens, positions).logical_not();
  whole.logit.masked_fill_(hidden.unsqueeze(0), std::numeric_limits<float>::quiet_NaN());
  return whole;
}

}  // namespace actsweep
