// The store: activations of tokens of the corpus, as they are.
#include <numeric>

#include "schema/declare_statistics.h"

namespace actsweep {

namespace {

using enum Axis;
using enum ElementType;

Dataset declare_stored_site(const SiteGroup& site, ElementType type) {
  const Axis layer = site.layer == kFinalLayer ? kFinalLayer : kStoredLayer;
  return {"store/" + site.name,
          type,
          {kStoredRow, layer, site.channel},
          "1",
          "activations of the stored tokens at the site, one dataset for each of [store] sites "
          "(NaN: a layer without it)",
          Merge::kRows};
}

}  // namespace

std::vector<Dataset> declare_store(const Job::Store& store, ValueWidth values) {
  if (store.sites.empty()) return {};
  std::vector<Dataset> datasets = {
      {"store/stored_layer",
       kInt64,
       {kStoredLayer},
       "1",
       "layer whose activations are stored",
       Merge::kConstant},
      {"store/token",
       kInt64,
       {kStoredRow},
       "1",
       "token whose activations are stored",
       Merge::kRows,
       kToken},
  };
  const auto type = store.dtype == Dtype::kBFloat16 ? kBFloat16 : kFloat32;
  for (const Site site : store.sites) {
    datasets.push_back(declare_stored_site(group_of(site, values), type));
  }
  return datasets;
}

std::vector<int64_t> stored_layers(const Job::Store& store, int64_t blocks) {
  if (!store.layers.empty()) return store.layers;
  std::vector<int64_t> all(static_cast<size_t>(blocks) + 1);
  std::iota(all.begin(), all.end(), int64_t{0});
  return all;
}

}  // namespace actsweep
