#include "run/check_statistics.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "probe/site.h"
#include "run/lifecycle_inputs.h"

namespace actsweep {
namespace {

constexpr const char* kTwoSizes = "has heads of two sizes in its layers, which are not measured";

bool names(const Job& job, const std::string& set) {
  const auto& sets = job.statistics.attention;
  return std::find(sets.begin(), sets.end(), set) != sets.end();
}

void check_sites(const Job& job, const Architecture& a, const std::vector<TensorRow>& rows) {
  const auto refuse = [&](Site site, const std::string& reason) {
    for (const auto& [is_asked, section] :
         {std::pair(job.measures(site), "statistics"), std::pair(job.captures(site), "capture"),
          std::pair(job.stores(site), "store")}) {
      require(!is_asked, ErrorKind::kJob, "[{}] sites: \"{}\": {} {}", section, name_of(site),
              a.family, reason);
    }
  };
  for (int number = 0; number <= static_cast<int>(Site::kFinalNorm); ++number) {
    const auto site = static_cast<Site>(number);
    if (const auto reason = lack_of_site(site, a)) refuse(site, *reason);
  }
  const bool has_final_norm = std::any_of(rows.begin(), rows.end(), [](const TensorRow& row) {
    return row.weight == Weight::kFinalNorm;
  });
  if (!has_final_norm) refuse(Site::kFinalNorm, "has no norm before a head");
}

/// What looks into softmax attention, for a model without.
void check_without_attention(const Job& job, const Architecture& a) {
  const auto& statistics = job.statistics;
  for (const auto& [is_asked, key] :
       {std::pair(!statistics.attention.empty(), "attention"),
        std::pair(statistics.attention_received, "attention_received"),
        std::pair(statistics.score_extrema, "score_extrema"),
        std::pair(statistics.query_key, "query_key")}) {
    require(!is_asked, ErrorKind::kJob, "[statistics] {}: {} has no layer with softmax attention",
            key, a.family);
  }
  require(!job.capture.attention, ErrorKind::kJob,
          "[capture] attention = true: {} has no layer with softmax attention", a.family);
}

/// What a model has learned for queries to attend to, where they need no token of the text.
bool has_learned_sink(const Architecture& a, const std::vector<TensorRow>& rows) {
  return a.has_sink_token || a.has_extra_key ||
         std::any_of(rows.begin(), rows.end(),
                     [](const TensorRow& row) { return row.weight == Weight::kSinks; });
}

void check_attention(const Job& job, const Architecture& a, const std::vector<TensorRow>& rows) {
  const auto& statistics = job.statistics;
  if (!a.has_attention()) check_without_attention(job, a);
  require(statistics.attention_from.has_value() == names(job, "from"), ErrorKind::kJob,
          "[statistics] attention_from goes with the set \"from\" of [statistics] attention: "
          "expected both or none");
  require(!names(job, "events") || job.measures(Site::kResidual), ErrorKind::kJob,
          "[statistics] attention: the set \"events\" needs the events of the site \"residual\": "
          "expected it in [statistics] sites");
  require(!names(job, "registers") || a.image.registers > 0, ErrorKind::kJob,
          "[statistics] attention: \"registers\": {} has no register tokens", a.family);
  require(!names(job, "learned") || has_learned_sink(a, rows), ErrorKind::kJob,
          "[statistics] attention: \"learned\": {} has no learned sink, extra key or sink token",
          a.family);
  for (const auto& set : statistics.attention) {
    require(!a.reads_images() || !set.starts_with("class:"), ErrorKind::kJob,
            "[statistics] attention: \"{}\": expected a corpus of text, found one of images", set);
  }
  require(
      !statistics.event_updates || job.measures(Site::kResidual), ErrorKind::kJob,
      "[statistics] event_updates = true needs the events of the site \"residual\": expected it "
      "in [statistics] sites");
  require(!statistics.value_updates || !statistics.attention.empty(), ErrorKind::kJob,
          "[statistics] value_updates = true: expected sets of keys in [statistics] attention");
}

/// What is measured of heads takes those of all layers to be of one size.
void check_head_sizes(const Job& job, const Architecture& a) {
  const auto refuse = [&](bool is_asked, const char* key) {
    require(!is_asked, ErrorKind::kJob, "{}: {} {}", key, a.family, kTwoSizes);
  };
  if (!a.has_other_heads()) return;
  refuse(!job.statistics.attention.empty(), "[statistics] attention");
  refuse(job.statistics.attention_received, "[statistics] attention_received");
  refuse(job.statistics.score_extrema, "[statistics] score_extrema");
  refuse(job.statistics.query_key, "[statistics] query_key");
  refuse(job.capture.attention, "[capture] attention");
}

void check_store(const Job& job, const Architecture& a) {
  const auto& store = job.store;
  for (const auto layer : store.layers) {
    require(layer <= a.layers, ErrorKind::kJob,
            "[store] layers: expected layers of {} from 0 to {}, found {}", a.family, a.layers,
            layer);
  }
  require(store.tokens != "events" || store.sites.empty() || job.measures(Site::kResidual),
          ErrorKind::kJob,
          "[store] tokens = \"events\" needs the events of the site \"residual\": expected it in "
          "[statistics] sites");
  const Job::Store usual;
  const bool is_usual = store.layers == usual.layers && store.tokens == usual.tokens &&
                        store.dtype == usual.dtype && store.seed == usual.seed;
  require(is_usual || !store.sites.empty(), ErrorKind::kJob,
          "[store] layers, tokens, dtype and seed go with sites: expected sites in [store] sites");
}

}  // namespace

std::optional<std::string> lack_of_site(Site site, const Architecture& a) {
  if (site == Site::kKeyValueLatent && a.latent.key_value == 0) return "has no latent attention";
  if (site == Site::kQueryLatent && a.latent.query == 0) return "makes no latent of queries";
  if (site == Site::kStateOutput && a.states_beside.empty()) {
    return "has no state space beside attention";
  }
  if (has_heads(site) && a.has_other_heads()) return kTwoSizes;
  if (site == Site::kGate && !a.is_gated) {
    return "has no gate projection; its MLP's projection is \"up\"";
  }
  const bool has_others = a.experts.count > 0 && a.experts.shared_width > 0 &&
                          a.experts.shared_width != a.ffn_width && a.has_dense_mlp();
  const bool mixes_widths = has_others || !a.other_mlp.layers.empty();
  const bool is_of_neurons = layout_of(site) == SiteLayout::kNeurons;
  if (is_of_neurons && a.dense_width() == 0) return "has no dense MLP";
  if (is_of_neurons && mixes_widths) return "has dense MLPs of different widths";
  if (has_heads(site) && !a.has_attention()) return "has no layer with softmax attention";
  return std::nullopt;
}

void check_statistics(const Job& job, const Architecture& architecture,
                      const std::vector<TensorRow>& rows) {
  check_sites(job, architecture, rows);
  check_attention(job, architecture, rows);
  check_head_sizes(job, architecture);
  check_store(job, architecture);
  check_lifecycle(job, architecture);
  require(job.statistics.classes != Classes::kRole || !architecture.reads_images(), ErrorKind::kJob,
          "[statistics] classes = \"role\": {} reads images, which have no roles",
          architecture.family);
  require(!job.statistics.loss || architecture.is_causal, ErrorKind::kJob,
          "[statistics] loss = true: {} predicts masked tokens and no next one; expected false",
          architecture.family);
  for (const auto& [is_asked, key] :
       {std::pair(job.statistics.quantisation, "quantisation = true"),
        std::pair(job.statistics.channel_quantiles, "channel_quantiles = true"),
        std::pair(!job.statistics.formats.empty(), "formats")}) {
    require(!is_asked || !job.statistics.sites.empty(), ErrorKind::kJob,
            "[statistics] {}: expected sites in [statistics] sites", key);
  }
  for (const auto& [is_asked, key] : {std::pair(job.statistics.experts, "experts"),
                                      std::pair(job.statistics.expert_rows, "expert_rows")}) {
    require(!is_asked || architecture.experts.count > 0, ErrorKind::kJob,
            "[statistics] {} = true: {} has no routed experts", key, architecture.family);
  }
  require(!job.statistics.expert_rows || job.output.per_token != PerToken::kNone, ErrorKind::kJob,
          "[statistics] expert_rows = true: expected [output] per_token = \"all\" or \"massive\", "
          "found \"none\", which keeps no rows of tokens");
  require(!job.statistics.expert_inputs || job.statistics.experts, ErrorKind::kJob,
          "[statistics] expert_inputs = true: expected experts = true, whose tokens it counts");
}

}  // namespace actsweep
