// What each statistic writes, one function a statistic: the rows and fields that declare_datasets
// puts together.
//
// In: the site's group in the file ("residual") and what the job keeps per token. Out: datasets in
// the order in which the statistic of the same name hands them over. Mentions no tensor.
#pragma once

#include <string>
#include <vector>

#include "stats/declare.h"

namespace actsweep {

/// The site whose activations are held against the criterion.
inline constexpr const char* kResidualSite = "residual";

/// Rows per token: top values and channels, median magnitude, norm. Under kMassive on Axis::kRow;
/// none under kNone.
std::vector<Dataset> declare_token_extrema(const std::string& site, PerToken per_token);
/// Rows per sequence: top values, channels and positions, median magnitude.
std::vector<Dataset> declare_sequence_extrema(const std::string& site);
/// Fields: tokens kept and left out, power sums, largest magnitude and outlier count of every
/// channel.
std::vector<Dataset> declare_channel_moments(const std::string& site);
/// Field: magnitudes by the upper 16 bits of their float32.
std::vector<Dataset> declare_magnitude_histogram(const std::string& site);
/// Fields: count, sum and sum of squares by token class.
std::vector<Dataset> declare_class_moments(const std::string& site);
/// The columns of /massive, in the order of event_columns.
std::vector<Dataset> declare_massive_columns();
/// Field: events that max_events left out.
std::vector<Dataset> declare_massive_counts();
/// The table against the layer's corpus median, derived from the residual's fields.
std::vector<Dataset> declare_massive_corpus();
/// The loss per token, unless per_token = "none".
std::vector<Dataset> declare_loss_rows(PerToken per_token);
/// Fields: the raw sums behind the perplexities.
std::vector<Dataset> declare_loss_sums();

}  // namespace actsweep
