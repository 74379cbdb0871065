// What each statistic writes, one function a statistic: the rows and fields that declare_datasets
// puts together.
//
// In: the site and what the job keeps per token. Out: datasets in
// the order in which the statistic of the same name hands them over. Mentions no tensor.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/architecture.h"
#include "schema/declare.h"

namespace actsweep {

/// A site's group in the file and the axes of its rows.
struct SiteGroup {
  std::string name;
  Axis layer = Axis::kLayer;
  Axis channel = Axis::kChannel;
};
SiteGroup group_of(Site site, ValueWidth values = ValueWidth::kOfKeys);
ValueWidth value_width_of(const Architecture& architecture);
/// By the axes that have a length.
ValueWidth value_width_of(const Extents& extents);

/// The axis of the rows that a token keeps.
Axis token_axis(PerToken per_token);

/// Stored activations of the job's sites and tokens, with the tokens' numbers and the layers.
std::vector<Dataset> declare_store(const Job::Store& store, ValueWidth values);
/// The layers of the store in the order of the file, of a model with so many blocks.
std::vector<int64_t> stored_layers(const Job::Store& store, int64_t blocks);
/// Rows per token: top values and channels, median magnitude, norm. Under kMassive on Axis::kRow;
/// none under kNone.
std::vector<Dataset> declare_token_extrema(const SiteGroup& site, PerToken per_token);
/// Rows per sequence: top values, channels and positions, median magnitude.
std::vector<Dataset> declare_sequence_extrema(const SiteGroup& site);
/// Fields: tokens kept and left out, power sums, largest magnitude and outlier count of every
/// channel.
std::vector<Dataset> declare_channel_moments(const SiteGroup& site);
/// Field: magnitudes by the upper 16 bits of their float32.
std::vector<Dataset> declare_magnitude_histogram(const SiteGroup& site);
/// Fields: count, sum and sum of squares by token class.
std::vector<Dataset> declare_class_moments(const SiteGroup& site);
/// Fields: the same by whose words a token of a chat holds, and class.
std::vector<Dataset> declare_role_moments(const SiteGroup& site);
/// Fields: signed extrema of every channel, kurtosis of tokens, largest magnitudes of blocks.
std::vector<Dataset> declare_quantiser_statistics(const SiteGroup& site);
/// Field: magnitudes of every channel by quarter octaves.
std::vector<Dataset> declare_channel_histogram(const SiteGroup& site);
/// Fields: what tokens lose in formats of low precision.
std::vector<Dataset> declare_format_errors(const SiteGroup& site);
/// The columns of /massive, in the order of event_columns.
std::vector<Dataset> declare_massive_columns();
/// The columns of update_columns: who wrote an event, and what the next layer adds to it.
std::vector<Dataset> declare_event_updates();
/// Rows of the tokens with an event, on Axis::kRow: the named channels at every layer.
std::vector<Dataset> declare_lifecycle();
/// Field: events that max_events left out.
std::vector<Dataset> declare_massive_counts();
/// The table against the layer's corpus median, derived from the residual's fields.
std::vector<Dataset> declare_massive_corpus();
/// Fields: sums by register token of an image.
std::vector<Dataset> declare_register_moments();
/// The largest input and output of each layer's down projection, and the weight between them.
std::vector<Dataset> declare_super_weights();
/// Fields: attention to the sets of keys, the sink metric, the entropy, value norms.
std::vector<Dataset> declare_attention();
/// Rows per token: what a key receives from the other queries. Under kMassive on Axis::kRow; none
/// under kNone.
std::vector<Dataset> declare_received_by_tokens(PerToken per_token);
/// Rows per sequence and head: the key of the first half that receives most.
std::vector<Dataset> declare_received_by_sequences();
/// Fields: the largest score of each head and where it was, the largest norms.
std::vector<Dataset> declare_scores();
/// Rows per token: cosines of the residual stream. Under kMassive on Axis::kRow; none under kNone.
std::vector<Dataset> declare_cosines(PerToken per_token);
/// Rows per sequence: participation ratios of the residual stream.
std::vector<Dataset> declare_participation();
/// Fields: what the sets of keys add to the attention output.
std::vector<Dataset> declare_value_updates(ValueWidth values);
/// Fields: sums of squares of queries, keys and values.
std::vector<Dataset> declare_query_key(ValueWidth values);
/// Fields: tokens and largest output of each routed expert.
std::vector<Dataset> declare_experts();
/// Fields: the inputs of their projections by channel; with ranges their signed ends too.
std::vector<Dataset> declare_expert_inputs(bool has_ranges);
/// Rows per token: the experts that it chose, and their weights. Under kMassive on Axis::kRow; none
/// under kNone.
std::vector<Dataset> declare_token_experts(PerToken per_token);
/// The loss per token, unless per_token = "none".
std::vector<Dataset> declare_loss_rows(PerToken per_token);
/// Fields: the raw sums behind the perplexities.
std::vector<Dataset> declare_loss_sums();
/// The score of each sequence of a task.
Dataset declare_scores_of_requests();
/// The same per variant.
Dataset declare_variant_scores();
/// What a classifier says of each image, beside its label.
std::vector<Dataset> declare_classification();
/// The same per variant.
std::vector<Dataset> declare_variant_classification();
/// Fields: what each intervention matched and overwrote.
std::vector<Dataset> declare_interventions();
/// The loss per variant and token, unless per_token = "none".
std::vector<Dataset> declare_variant_rows(PerToken per_token);
/// Fields: the raw sums behind each variant's perplexities.
std::vector<Dataset> declare_variant_losses();
/// Fields: what each variant's interventions matched and overwrote.
std::vector<Dataset> declare_variant_matches();
/// The perplexities, derived from those.
std::vector<Dataset> declare_variant_perplexities();

}  // namespace actsweep
