#include "job/key_access.h"
#include "job/token_sample.h"

namespace actsweep {
namespace {

/// A list, or the word "all", which is the empty list.
KeyAccess layers() {
  return {[](const Job& job) {
            const auto& layers = job.store.layers;
            return layers.empty() ? nlohmann::json("all") : nlohmann::json(layers);
          },
          [](Job& job, const nlohmann::json& json) {
            job.store.layers =
                json.is_string() ? std::vector<int64_t>{} : json.get<std::vector<int64_t>>();
          }};
}

}  // namespace

std::vector<JobKey> store_keys() {
  using Store = Job::Store;
  return {
      {.section = "store",
       .name = "sites",
       .kind = ValueKind::kWords,
       .access = member(&Job::store, &Store::sites),
       .in_identity = true,
       .words = all_words<Site>(),
       .meaning = "where activations of the corpus' tokens are stored in full; none: no store"},
      {.section = "store",
       .name = "layers",
       .kind = ValueKind::kIntegersOrWord,
       .access = layers(),
       .in_identity = true,
       .words = {"all"},
       .least = 0,
       .meaning = "whose activations are stored, 0 for the embedding's output"},
      {.section = "store",
       .name = "tokens",
       .kind = ValueKind::kSample,
       .access = member(&Job::store, &Store::tokens),
       .in_identity = true,
       .words = sample_words(),
       .meaning = "whose activations are stored: all; each with the probability P; those with an "
                  "event"},
      {.section = "store",
       .name = "dtype",
       .kind = ValueKind::kWord,
       .access = member(&Job::store, &Store::dtype),
       .in_identity = true,
       .words = {name_of(Dtype::kFloat32), name_of(Dtype::kBFloat16)},
       .meaning = "element type of what is stored"},
      {.section = "store",
       .name = "seed",
       .kind = ValueKind::kInteger,
       .access = member(&Job::store, &Store::seed),
       .in_identity = true,
       .least = 0,
       .meaning = "seed of random tokens"},
  };
}

}  // namespace actsweep
