#include "output/show_sites.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "output/findings.h"
#include "output/table.h"
#include "output/token_text.h"

namespace actsweep {
namespace {

constexpr std::string_view kLargest = "/channel_max_magnitude";
constexpr std::string_view kLargestToken = "/channel_max_token";

template <typename T>
std::vector<T> read_whole(const H5Dataset& dataset, hid_t type) {
  const auto shape = dataset.shape();
  std::vector<T> values(
      std::accumulate(shape.begin(), shape.end(), size_t{1}, std::multiplies<>()));
  if (!values.empty()) dataset.read_all(type, values.data());
  return values;
}

int64_t total_of(const H5File& file, const std::string& path) {
  if (!file.contains(path)) return 0;
  const auto counts = read_whole<int64_t>(file.dataset(path), H5T_NATIVE_INT64);
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

/// Where a site's largest magnitude is.
struct Place {
  float magnitude;
  hsize_t layer;
  hsize_t channel;
};

std::optional<Place> largest_of(const H5File& file, const std::string& site) {
  if (total_of(file, site + "/count") == 0) return {};
  const auto dataset = file.dataset(site + std::string(kLargest));
  const auto values = read_whole<float>(dataset, H5T_NATIVE_FLOAT);
  const auto largest = std::max_element(values.begin(), values.end());
  if (largest == values.end()) return {};
  const auto at = static_cast<hsize_t>(largest - values.begin()), channels = dataset.shape().at(1);
  return Place{*largest, at / channels, at % channels};
}

std::vector<std::string> row_of(const H5File& file, const std::string& site) {
  const std::string left_out = grouped(total_of(file, site + "/nonfinite_tokens"));
  const auto place = largest_of(file, site);
  if (!place) return {site, "-", "-", "-", left_out};
  return {site, readable(place->magnitude), fmt::format("{}", place->layer),
          fmt::format("{}", place->channel), left_out};
}

/// The token at the place, -1 where no magnitude is above 0.
int64_t token_at(const H5File& file, const std::string& site, const Place& place) {
  int64_t token = -1;
  file.dataset(site + std::string(kLargestToken))
      .read(H5T_NATIVE_INT64, {{place.layer, place.channel}, {1, 1}}, &token);
  return token;
}

/// The sites that hold a dataset.
std::vector<std::string> sites_with(const H5File& file, std::string_view dataset) {
  std::vector<std::string> sites;
  for (const auto& path : file.dataset_paths()) {
    const size_t end = path.find('/');
    if (end != std::string::npos && path.substr(end) == dataset) {
      sites.push_back(path.substr(0, end));
    }
  }
  return sites;
}

}  // namespace

std::string token_table(const H5File& file) {
  const auto sites = sites_with(file, kLargestToken);
  if (sites.empty()) return "";
  const Vocabulary vocabulary(file);
  std::vector<std::vector<std::string>> rows;
  for (const auto& site : sites) {
    const auto place = largest_of(file, site);
    const int64_t token = place ? token_at(file, site, *place) : -1;
    if (token < 0) continue;
    const TokenText found = read_token(file, vocabulary, token);
    rows.push_back({site, grouped(token), grouped(found.document), grouped(found.position),
                    fmt::format("{}", found.id), found.text});
  }
  return "\nTokens of the largest activations\n" + format_table({{"site", Align::kLeft},
                                                                 {"token"},
                                                                 {"document"},
                                                                 {"position"},
                                                                 {"id"},
                                                                 {"text", Align::kLeft}},
                                                                rows);
}

std::string site_table(const H5File& file) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& site : sites_with(file, kLargest)) rows.push_back(row_of(file, site));
  if (rows.empty()) return "";
  return "\nLargest activations by site\n" + format_table({{"site", Align::kLeft},
                                                           {"largest"},
                                                           {"in layer"},
                                                           {"channel"},
                                                           {"tokens left out, over all layers"}},
                                                          rows);
}

}  // namespace actsweep
