#include "model/loss.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "kernels/product.h"
#include "model/norms.h"

namespace actsweep {
namespace {

/// Logits of this rank's vocabulary rows, [n, rows] float32.
at::Tensor logits_of(const Architecture& a, const StageWeights& head, const at::Tensor& rows) {
  auto logits = at::empty({rows.size(0), head[Weight::kHead].size(0)}, rows.options());
  project(rows, head[Weight::kHead], head[Weight::kHeadBias], logits);
  auto exact = logits.to(at::kFloat);
  if (a.logit_scale != 1) exact.mul_(a.logit_scale);
  if (a.logit_cap > 0) exact.div_(a.logit_cap).tanh_().mul_(a.logit_cap);
  return exact;
}

/// [n, 2] float32: log-sum-exp over this rank's vocabulary rows, and the target's logit (0 where
/// another rank holds it).
at::Tensor local_terms(const Architecture& architecture, const StageWeights& head,
                       const at::Tensor& rows, const at::Tensor& targets, Share vocabulary) {
  auto terms = at::empty({rows.size(0), 2}, rows.options().dtype(at::kFloat));
  if (vocabulary.size() == 0) {
    terms.select(1, 0).fill_(-std::numeric_limits<float>::infinity());
    terms.select(1, 1).zero_();
    return terms;
  }
  const auto logits = logits_of(architecture, head, rows);
  terms.select(1, 0).copy_(at::logsumexp(logits, 1));
  const auto is_mine = targets.ge(vocabulary.begin).logical_and_(targets.lt(vocabulary.end));
  const auto local = (targets - vocabulary.begin).clamp(0, vocabulary.size() - 1);
  const auto target_logit = logits.gather(1, local.unsqueeze(1)).squeeze(1);
  terms.select(1, 1).copy_(at::where(is_mine, target_logit, at::zeros_like(target_logit)));
  return terms;
}

/// The rows that the unembedding reads: normed, and projected where embeddings are.
at::Tensor head_input(const Architecture& a, const StageWeights& head, const at::Tensor& residual) {
  auto normed =
      at::empty(residual.sizes(), residual.options().dtype(head[Weight::kHead].scalar_type()));
  if (head.has(Weight::kFinalNorm)) {
    row_ops_of(residual.device()).normalise(residual, norm_of(a, head, Weight::kFinalNorm), normed);
  } else {
    normed.copy_(residual);
  }
  if (!head.has(Weight::kHeadProjection)) return normed;
  const auto& projection = head[Weight::kHeadProjection];
  auto projected = at::empty({normed.size(0), projection.size(0)}, normed.options());
  project(normed, projection, {}, projected);
  return projected;
}

/// parts [m, n, 2]: each rank's terms of the owned rows -> [n] float32 on the host.
at::Tensor combine(const at::Tensor& parts) {
  const auto terms = parts.to(at::kCPU).to(at::kDouble);
  return (at::logsumexp(terms.select(2, 0), 0) - terms.select(2, 1).sum(0)).to(at::kFloat);
}

}  // namespace

at::Tensor token_nll(const Architecture& architecture, const StageWeights& head,
                     const at::Tensor& residual, const at::Tensor& targets, const Group& group) {
  const auto vocabulary = share_of(architecture, group.size(), group.rank()).vocabulary;
  // The same number of rows on every rank, whatever its share of the vocabulary.
  const int64_t widest = (architecture.vocabulary + group.size() - 1) / group.size();
  const int64_t chunk = std::max<int64_t>(1, kLogitBytes / (4 * widest * group.size()));
  auto nll = at::empty({residual.size(0)}, at::kFloat);
  for (int64_t begin = 0; begin < residual.size(0); begin += chunk) {
    const int64_t rows = std::min(chunk, residual.size(0) - begin);
    const auto input = head_input(architecture, head, residual.narrow(0, begin, rows));
    auto all_rows = at::empty({group.size() * rows, input.size(1)}, input.options());
    auto all_targets = at::empty({group.size() * rows}, targets.options());
    all_rows = group.all_gather(input, all_rows);
    all_targets = group.all_gather(targets.narrow(0, begin, rows), all_targets);
    const auto terms = local_terms(architecture, head, all_rows, all_targets, vocabulary);
    auto owned = at::empty_like(terms);
    group.all_to_all(terms, owned);
    nll.narrow(0, begin, rows).copy_(combine(owned.view({group.size(), rows, 2})));
  }
  return nll;
}

}  // namespace actsweep
