#include "probe/site.h"

#include <algorithm>

#include "base/error.h"

namespace actsweep {

const std::vector<SiteFacts>& site_facts() {
  using enum SiteLayout;
  static const std::vector<SiteFacts> list = {
      {Site::kResidual, kOwned,
       "residual stream: the embedding output and the output of each block"},
      {Site::kAttentionInput, kOwned, "input of the query, key and value projections"},
      {Site::kQuery, kHeads, "queries before rotary positions"},
      {Site::kKey, kKeys, "keys before rotary positions"},
      {Site::kValue, kKeys, "values"},
      {Site::kAttentionHeads, kHeads, "outputs of the heads: input of the output projection"},
      {Site::kAttentionOutput, kOwned, "output of the output projection, its bias included"},
      {Site::kMlpInput, kOwned, "input of the MLP and of the router"},
      {Site::kGate, kNeurons, "gate projection of the dense MLP before the activation"},
      {Site::kUp, kNeurons,
       "up projection of the dense MLP; without a gate, before the activation"},
      {Site::kMlpHidden, kNeurons, "input of the dense MLP's down projection"},
      {Site::kMlpOutput, kOwned, "output of the MLP, its bias and routed experts included"},
      {Site::kFinalNorm, kOwned, "output of the norm before the head"},
  };
  return list;
}

const SiteFacts& facts_of(Site site) {
  const auto& all = site_facts();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const SiteFacts& facts) { return facts.site == site; });
  ensure(found != all.end(), "every site has its row");
  return *found;
}

}  // namespace actsweep
