#include "output/show.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "output/findings.h"
#include "output/layout.h"
#include "output/show_interventions.h"
#include "output/show_sites.h"
#include "output/sweep_file.h"
#include "output/table.h"

namespace actsweep {
namespace {

using Counts = std::map<int64_t, int64_t>;

std::string text_of(const AttributeValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) return grouped(*number);
  if (const auto* real = std::get_if<double>(&value)) return readable(*real);
  return std::get<std::string>(value);
}

std::vector<int64_t> read_column(const H5File& file, const std::string& path) {
  const H5Dataset dataset = file.dataset(path);
  std::vector<int64_t> values(dataset.shape().at(0));
  if (!values.empty()) dataset.read_all(H5T_NATIVE_INT64, values.data());
  return values;
}

/// The root attribute as text; "?" where the file lacks it.
std::string root_text(const H5File& file, const std::string& name) {
  return file.has_attribute(name) ? text_of(file.read_attribute(name)) : "?";
}

/// The tokens measured, which a file without rows of them holds as the lengths of its sequences.
std::string token_count(const H5File& file) {
  const Extents extents = extents_of(file);
  if (extents.contains(Axis::kToken)) return grouped(extents.at(Axis::kToken));
  if (!file.contains("sequences/length")) return "?";
  const std::vector<int64_t> lengths = read_column(file, "sequences/length");
  return grouped(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}));
}

std::string header(const H5File& file) {
  const Extents extents = extents_of(file);
  std::string text = fmt::format("{}\n", file.file());
  text += fmt::format("  model       {} ({}), {} layers, {} channels\n",
                      root_text(file, "model_name"), root_text(file, "model_family"),
                      root_text(file, "num_layers"), root_text(file, "hidden_size"));
  if (file.has_attribute("quantisation")) {
    text += fmt::format("  weights     widened from {}\n", root_text(file, "quantisation"));
  }
  text +=
      fmt::format("  corpus      {} tokens in {} sequences\n", token_count(file),
                  extents.contains(Axis::kSequence) ? grouped(extents.at(Axis::kSequence)) : "?");
  text += fmt::format(
      "  computed    in {}, residual stream in {}; model group of {}, {} thread(s) "
      "per rank\n",
      root_text(file, "dtype"), root_text(file, "residual_dtype"),
      root_text(file, "model_group_size"), root_text(file, "threads"));
  for (const char* holder : {"loss/token_nll", "loss/nll_sum"}) {
    if (!file.contains(holder)) continue;
    const H5Dataset loss = file.dataset(holder);
    if (!loss.has_attribute("perplexity")) continue;
    text += fmt::format("  perplexity  {} over tokens, {} as the mean of windows\n",
                        text_of(loss.read_attribute("perplexity")),
                        text_of(loss.read_attribute("windows_perplexity")));
  }
  return text;
}

std::string nonfinite_table(const H5File& file) {
  std::vector<std::vector<std::string>> rows;
  if (!file.contains("residual/nonfinite_tokens")) return "";
  const std::vector<int64_t> left_out = read_column(file, "residual/nonfinite_tokens");
  for (size_t layer = 0; layer < left_out.size(); ++layer) {
    if (left_out[layer] > 0) rows.push_back({fmt::format("{}", layer), grouped(left_out[layer])});
  }
  if (rows.empty()) return "";
  return "\nNON-FINITE VALUES: these tokens enter no statistic of the layer\n" +
         format_table({{"layer"}, {"tokens left out"}}, rows);
}

/// "507 (480), 247 (16), 3 more": the most frequent first.
std::string most_frequent(const Counts& counts, int top,
                          const std::function<std::string(int64_t)>& name) {
  std::vector<std::pair<int64_t, int64_t>> order(counts.begin(), counts.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  const size_t shown = std::min(order.size(), static_cast<size_t>(std::max(top, 1)));
  for (size_t i = 0; i < shown; ++i) {
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", name(order[i].first),
                        grouped(order[i].second));
  }
  if (shown < order.size()) text += fmt::format(", {} more", order.size() - shown);
  return text;
}

std::string layer_table(const Findings& findings, const Vocabulary& vocabulary, int top) {
  const auto number = [](int64_t value) { return fmt::format("{}", value); };
  const auto token = [&](int64_t id) { return quoted(vocabulary.bytes_of(id)); };
  std::vector<std::vector<std::string>> rows;
  for (const auto& [layer, found] : findings.layers) {
    rows.push_back({number(layer), grouped(found.events), readable(found.largest.value),
                    readable(found.largest.median), readable(found.largest.ratio),
                    most_frequent(found.channels, top, number),
                    most_frequent(found.positions, top, number),
                    most_frequent(found.tokens, top, token)});
  }
  return format_table({{"layer"},
                       {"events"},
                       {"largest"},
                       {"median"},
                       {"ratio"},
                       {"channels (events)", Align::kLeft},
                       {"positions (events)", Align::kLeft},
                       {"tokens (events)", Align::kLeft}},
                      rows);
}

double read_element(const H5File& file, const std::string& path, std::vector<hsize_t> at) {
  double value = 0;
  const std::vector<hsize_t> one(at.size(), 1);
  file.dataset(path).read(H5T_NATIVE_DOUBLE, {std::move(at), one}, &value);
  return value;
}

/// Mean and standard deviation of the value at position 0 over all sequences: token class 0.
std::string constancy(const H5File& file, int64_t layer, int64_t channel) {
  const auto l = static_cast<hsize_t>(layer);
  const auto c = static_cast<hsize_t>(channel);
  const double count = read_element(file, "residual/class_count", {l, 0});
  if (count == 0) return "-";
  const double mean = read_element(file, "residual/class_sum", {l, 0, c}) / count;
  const double square = read_element(file, "residual/class_sum_square", {l, 0, c}) / count;
  return fmt::format("{} ± {}", readable(mean),
                     readable(std::sqrt(std::max(0.0, square - mean * mean))));
}

std::string channel_table(const H5File& file, const Findings& findings, int top) {
  std::vector<std::pair<int64_t, ChannelFindings>> order(findings.channels.begin(),
                                                         findings.channels.end());
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::abs(a.second.largest.value) > std::abs(b.second.largest.value);
  });
  const size_t shown = std::min(order.size(), static_cast<size_t>(std::max(top, 1)));
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < shown; ++i) {
    const auto& [channel, found] = order[i];
    const double share =
        100.0 * static_cast<double>(found.at_position_0) / static_cast<double>(found.events);
    rows.push_back(
        {fmt::format("{}", channel), fmt::format("{}–{}", found.first_layer, found.last_layer),
         grouped(found.events), fmt::format("{:.1f} %", share), readable(found.largest.value),
         fmt::format("{}", found.largest.layer), constancy(file, found.largest.layer, channel)});
  }
  std::string text = format_table({{"channel"},
                                   {"layers"},
                                   {"events"},
                                   {"at position 0"},
                                   {"largest"},
                                   {"in layer"},
                                   {"there at position 0, mean ± std"}},
                                  rows);
  if (shown < order.size()) text += fmt::format("and {} more channels\n", order.size() - shown);
  return text;
}

/// " (|x| > 100 and at least 1000 x a median)", from the job identity; empty where the file lacks
/// it.
std::string criterion_text(const H5File& file) {
  if (!file.has_attribute("identity")) return "";
  const auto identity = nlohmann::json::parse(file.read_text("identity"), nullptr, false);
  if (!identity.is_object()) return "";
  const auto magnitude = identity.find("statistics.criterion_magnitude");
  const auto ratio = identity.find("statistics.criterion_ratio");
  if (magnitude == identity.end() || ratio == identity.end()) return "";
  return fmt::format(" (|x| > {} and ≥ {} × a median)", readable(magnitude->get<double>()),
                     readable(ratio->get<double>()));
}

/// The tables of massive activations, which belong to the residual stream.
std::string massive_tables(const H5File& file, int top) {
  if (!file.contains("massive/value")) {
    return "\nNo residual stream was measured, so no massive activations were looked for.\n";
  }
  const Findings findings = read_findings(file);
  if (findings.layers.empty()) {
    return fmt::format("\nNo massive activations{}.\n", criterion_text(file));
  }
  std::string text = fmt::format("\nMassive activations by layer{}\n", criterion_text(file));
  text += layer_table(findings, Vocabulary(file), top);
  text += "\nMassive activations by channel\n" + channel_table(file, findings, top);
  int64_t left_out = 0;
  for (const int64_t count : read_column(file, "massive/events_left_out")) left_out += count;
  if (left_out > 0) {
    text += fmt::format("\n{} more events were counted but not kept (statistics.max_events)\n",
                        grouped(left_out));
  }
  return text;
}

}  // namespace

std::string show_file(const std::string& path, int top) {
  const H5File file = open_sweep(path);
  return header(file) + intervention_lines(file) + nonfinite_table(file) + variant_table(file) +
         classification_table(file) +
         massive_tables(file, top) + site_table(file) + token_table(file);
}

}  // namespace actsweep
