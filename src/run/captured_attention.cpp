#include "run/captured_attention.h"

#include <ATen/ATen.h>

#include <limits>

#include "stats/attention_scores.h"
#include "stats/sequence_groups.h"
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
  const auto& shape = view.call.shape;
  const auto prompt = first_sequence(tokens, options.device());
  const auto queries = all_queries(shape, prompt);
  if (mine.size() > 0) {
    const auto scores = scores_on(GatheredHeads(view), prompt, queries);
    whole.logit.narrow(0, mine.begin, mine.size()).copy_(scores.score.squeeze(0));
    whole.probability.narrow(0, mine.begin, mine.size()).copy_(scores.probability.squeeze(0));
  }
  group.all_reduce(whole.logit, Reduction::kSum);
  group.all_reduce(whole.probability, Reduction::kSum);
  whole.logit.masked_fill_(hidden_keys(shape, prompt, queries),
                           std::numeric_limits<float>::quiet_NaN());
  return whole;
}

}  // namespace actsweep
