#include "probe/intervention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "probe/control_channels.h"
#include "probe/normal_numbers.h"

namespace actsweep {
namespace {

at::Tensor row_index(const std::vector<TokenMatch>& matches) {
  std::vector<int64_t> rows;
  for (const auto& match : matches) rows.push_back(match.row);
  return at::tensor(rows, at::kLong);
}

/// Without the matches in whose rows a value is not finite: they have no median.
std::vector<TokenMatch> finite_ones(const at::Tensor& rows,
                                    const std::vector<TokenMatch>& matches) {
  if (matches.empty()) return {};
  const auto chosen = rows.index_select(0, row_index(matches).to(rows.device()));
  const auto is_finite = at::isfinite(chosen).all(1).cpu();
  std::vector<TokenMatch> finite;
  for (size_t i = 0; i < matches.size(); ++i) {
    if (is_finite.const_data_ptr<bool>()[i]) finite.push_back(matches[i]);
  }
  return finite;
}

}  // namespace

Intervention::Intervention(std::string name, const Job::Intervention& wanted, int64_t layers,
                           at::Tensor means, at::Tensor deviations)
    : name_(std::move(name)),
      wanted_(wanted),
      selector_(parse_tokens(wanted.tokens).value()),
      layers_(layers),
      means_(std::move(means)),
      deviations_(std::move(deviations)) {}

bool Intervention::applies_at(Site site, int64_t layer) const {
  if (site != wanted_.site || !wanted_.experts.empty() || wanted_.is_weight) return false;
  if (wanted_.action == Action::kShift) return false;
  if (wanted_.layer) return *wanted_.layer == layer;
  return site != Site::kResidual || layer < layers_;
}

bool Intervention::is_on_experts_at(int64_t layer) const {
  return !wanted_.experts.empty() && wanted_.layer.value_or(layer) == layer;
}

bool Intervention::shifts_scores_at(int64_t layer) const {
  return wanted_.action == Action::kShift && wanted_.layer.value_or(layer) == layer;
}

bool Intervention::bars_experts_at(int64_t layer) const {
  return is_on_experts_at(layer) && wanted_.action == Action::kBar;
}

bool Intervention::silences_experts_at(int64_t layer) const {
  return is_on_experts_at(layer) && wanted_.action != Action::kBar;
}

bool Intervention::changes_weight_at(int64_t layer) const {
  return wanted_.is_weight && wanted_.layer == layer;
}

double Intervention::weight_of(double stored) const {
  const double value = wanted_.value.value_or(0);
  return wanted_.action == Action::kScale ? stored * value : value;
}

Intervention::Counts Intervention::shift(const OwnedRows& labels, at::Tensor& shift) const {
  const auto matches = match_tokens(selector_, labels, {}, {});
  if (matches.empty()) return {};
  const auto row = row_index(matches).to(shift.device());
  auto heads = at::arange(shift.size(1), at::kLong);
  if (!wanted_.heads.empty())
    heads = std::get<0>(at::_unique(at::tensor(wanted_.heads, at::kLong)));
  const auto added = at::full({}, *wanted_.value, shift.options());
  shift.index_put_({row.unsqueeze(1), heads.to(shift.device())}, added, /*accumulate=*/true);
  const auto count = static_cast<int64_t>(matches.size());
  return {count, count * heads.size(0)};
}

Intervention::Counts Intervention::bar(const OwnedRows& labels, at::Tensor& is_barred) const {
  const auto matches = match_tokens(selector_, labels, {}, {});
  if (matches.empty()) return {};
  const auto row = row_index(matches).unsqueeze(1).to(is_barred.device());
  const auto expert = at::tensor(wanted_.experts, at::kLong).to(is_barred.device());
  is_barred.index_put_({row, expert}, at::ones({}, is_barred.options()));
  const auto count = static_cast<int64_t>(matches.size());
  return {count, count * expert.size(0)};
}

Intervention::Counts Intervention::silence(const OwnedRows& labels, const at::Tensor& expert,
                                           at::Tensor& is_silent) const {
  const auto matches = match_tokens(selector_, labels, {}, {});
  if (matches.empty()) return {};
  const auto row = row_index(matches).to(expert.device());
  const auto chosen = expert.index_select(0, row);
  const auto is_theirs =
      at::isin(chosen, at::tensor(wanted_.experts, at::kLong).to(chosen.device())).to(at::kLong);
  is_silent.index_copy_(0, row, is_silent.index_select(0, row).maximum(is_theirs));
  return {static_cast<int64_t>(matches.size()), is_theirs.sum().item<int64_t>()};
}

/// [M or 1, K] int64 on the host: the channels of each match.
at::Tensor Intervention::channels_of(const at::Tensor& rows, const std::vector<TokenMatch>& matches,
                                     int64_t layer) const {
  const int64_t channels = rows.size(1);
  switch (wanted_.channel_choice) {
    case ChannelChoice::kListed:
      return at::tensor(wanted_.channels, at::kLong).unsqueeze(0);
    case ChannelChoice::kAll:
      return at::arange(channels, at::kLong).unsqueeze(0);
    case ChannelChoice::kMedian:
      return median_channels(rows.index_select(0, row_index(matches).to(rows.device())),
                             wanted_.count)
          .cpu();
    case ChannelChoice::kRandom:
      break;
  }
  std::vector<int64_t> chosen;
  for (const auto& match : matches) {
    const auto of_match =
        random_channels(wanted_.seed, match.sequence, layer, channels, wanted_.count);
    chosen.insert(chosen.end(), of_match.begin(), of_match.end());
  }
  return at::tensor(chosen, at::kLong).view({-1, wanted_.count});
}

/// [M, K] float32 on the host: means or deviations of the sweep file for each match and channel.
at::Tensor Intervention::of_matches(const at::Tensor& moments, int64_t layer,
                                    const std::vector<TokenMatch>& matches,
                                    const at::Tensor& channels) const {
  const bool is_by_register = selector_.kind == TokenSelector::Kind::kRegisters;
  std::vector<int64_t> groups;
  for (const auto& match : matches) {
    groups.push_back(is_by_register ? match.ordinal : match.token_class);
  }
  const auto group = at::tensor(groups, at::kLong).unsqueeze(1);
  const auto chosen = moments.select(0, layer).index({group, channels});
  require(!at::isnan(chosen).any().item<bool>(), ErrorKind::kJob,
          "{}: from = \"{}\": expected a mean at layer {}, found none: no finite token of the file "
          "is of the class that the intervention matched there",
          name_, wanted_.from.value(), layer);
  return chosen;
}

/// [M, K] float32 on the host: what is written where it does not depend on the activations.
at::Tensor Intervention::values_of(int64_t layer, const std::vector<TokenMatch>& matches,
                                   const at::Tensor& channels) const {
  if (!means_.defined()) {
    return at::full({static_cast<int64_t>(matches.size()), channels.size(1)},
                    wanted_.value.value_or(0), at::kFloat);
  }
  const auto means = of_matches(means_, layer, matches, channels);
  if (wanted_.action != Action::kNoise) return means;
  const auto deviations = of_matches(deviations_, layer, matches, channels);
  const auto normal = normal_numbers(wanted_.seed, layer, matches, channels);
  return (means.to(at::kDouble) + deviations.to(at::kDouble) * normal).to(at::kFloat);
}

/// [M, K] float32: what stands at the matches' places in other sequences.
at::Tensor Intervention::shuffled(const std::vector<TokenMatch>& matches,
                                  const at::Tensor& channels, const Donors& donors) const {
  std::vector<int64_t> from;
  for (const auto& match : matches) from.push_back(donors.row_of(match, wanted_.seed));
  const auto row = at::tensor(from, at::kLong).unsqueeze(1).to(donors.rows.device());
  return donors.rows.index({row, channels});
}

/// Some of the matches of one micro-batch.
Intervention::Counts Intervention::change(int64_t layer, std::vector<TokenMatch> matches,
                                          at::Tensor& rows, const Donors& donors) const {
  if (wanted_.channel_choice == ChannelChoice::kMedian) matches = finite_ones(rows, matches);
  if (matches.empty()) return {};
  const auto channels = channels_of(rows, matches, layer);
  const auto count = static_cast<int64_t>(matches.size());
  const auto row = row_index(matches).unsqueeze(1).to(rows.device());
  const auto channel = channels.to(rows.device());
  at::Tensor values;
  if (wanted_.action == Action::kScale) {
    values = rows.index({row, channel}) * wanted_.value.value();
  } else if (shuffles()) {
    values = shuffled(matches, channel, donors);
  } else {
    values = values_of(layer, matches, channels).to(rows.device());
  }
  rows.index_put_({row, channel}, values);
  return {count, count * channels.size(1)};
}

Intervention::Counts Intervention::apply(int64_t layer, const OwnedRows& labels, at::Tensor& rows,
                                         const Donors& donors) const {
  const bool is_listed = wanted_.channel_choice == ChannelChoice::kListed;
  const auto listed =
      is_listed ? at::tensor(wanted_.channels, at::kLong).to(rows.device()) : at::Tensor();
  auto matches = match_tokens(selector_, labels, rows, listed);
  if (shuffles()) {
    std::erase_if(matches,
                  [&](const auto& match) { return donors.row_of(match, wanted_.seed) < 0; });
  }
  const auto tile = static_cast<size_t>(tile_rows(rows));
  Counts counts;
  for (size_t begin = 0; begin < matches.size(); begin += tile) {
    const size_t end = std::min(begin + tile, matches.size());
    const auto changed =
        change(layer, {matches.begin() + begin, matches.begin() + end}, rows, donors);
    counts.tokens += changed.tokens;
    counts.activations += changed.activations;
  }
  return counts;
}

}  // namespace actsweep
