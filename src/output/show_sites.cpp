#include "output/show_sites.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "output/table.h"

namespace actsweep {
namespace {

constexpr std::string_view kLargest = "/channel_max_magnitude";

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

std::vector<std::string> row_of(const H5File& file, const std::string& site) {
  const auto dataset = file.dataset(site + std::string(kLargest));
  const auto shape = dataset.shape();
  const auto values = read_whole<float>(dataset, H5T_NATIVE_FLOAT);
  const auto largest = std::max_element(values.begin(), values.end());
  const std::string left_out = grouped(total_of(file, site + "/nonfinite_tokens"));
  if (largest == values.end() || total_of(file, site + "/count") == 0) {
    return {site, "-", "-", "-", left_out};
  }
  const auto place = static_cast<hsize_t>(largest - values.begin());
  return {site, readable(*largest), fmt::format("{}", place / shape.at(1)),
          fmt::format("{}", place % shape.at(1)), left_out};
}

}  // namespace

std::string site_table(const H5File& file) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& path : file.dataset_paths()) {
    const size_t end = path.find('/');
    if (end == std::string::npos || path.substr(end) != kLargest) continue;
    rows.push_back(row_of(file, path.substr(0, end)));
  }
  if (rows.empty()) return "";
  return "\nLargest activations by site\n" + format_table({{"site", Align::kLeft},
                                                           {"largest"},
                                                           {"in layer"},
                                                           {"channel"},
                                                           {"tokens left out, over all layers"}},
                                                          rows);
}

}  // namespace actsweep
