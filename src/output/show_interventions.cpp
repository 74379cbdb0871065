#include "output/show_interventions.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "output/table.h"

namespace actsweep {
namespace {

/// The lines of each table of a TOML text, as one line.
std::vector<std::string> lines_by_table(const std::string& toml) {
  std::vector<std::string> tables;
  std::istringstream text(toml);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("[[")) {
      tables.emplace_back();
    } else if (!line.empty() && !tables.empty()) {
      tables.back() += (tables.back().empty() ? "" : ", ") + line;
    }
  }
  return tables;
}

template <typename T>
std::vector<T> read_variants(const H5File& file, const std::string& name, hid_t type) {
  const H5Dataset dataset = file.dataset("variants/" + name);
  std::vector<T> values(dataset.shape().at(0));
  dataset.read_all(type, values.data());
  return values;
}

/// Of loss/token_nll, or of loss/nll_sum where the job keeps no rows.
double original_perplexity(const H5File& file, const char* name) {
  const auto holder = file.contains("loss/token_nll") ? "loss/token_nll" : "loss/nll_sum";
  return std::get<double>(file.dataset(holder).read_attribute(name));
}

}  // namespace

std::string intervention_lines(const H5File& file) {
  if (!file.has_attribute("intervention")) return "";
  std::string text;
  for (const auto& table : lines_by_table(file.read_text("intervention"))) {
    text += fmt::format("  intervened  {}\n", table);
  }
  return text;
}

std::string variant_table(const H5File& file) {
  if (!file.has_attribute("variants")) return "";
  const auto names = nlohmann::json::parse(file.read_text("variants"), nullptr, false);
  const auto perplexity = read_variants<double>(file, "perplexity", H5T_NATIVE_DOUBLE);
  const auto windows = read_variants<double>(file, "windows_perplexity", H5T_NATIVE_DOUBLE);
  const auto tokens = read_variants<int64_t>(file, "matched_tokens", H5T_NATIVE_INT64);
  const auto changed = read_variants<int64_t>(file, "changed_activations", H5T_NATIVE_INT64);
  require(names.is_array() && names.size() == perplexity.size(), ErrorKind::kOutput,
          "{}: root attribute 'variants' does not name the {} variants of /variants", file.file(),
          perplexity.size());
  std::vector<std::vector<std::string>> rows = {
      {"(original)", readable(original_perplexity(file, "perplexity")),
       readable(original_perplexity(file, "windows_perplexity")), "", ""}};
  for (size_t i = 0; i < perplexity.size(); ++i) {
    rows.push_back({names[i].get<std::string>(), readable(perplexity[i]), readable(windows[i]),
                    grouped(tokens[i]), grouped(changed[i])});
  }
  return "\nPerplexity of variants\n" + format_table({{"variant", Align::kLeft},
                                                      {"over tokens"},
                                                      {"mean of windows"},
                                                      {"tokens matched"},
                                                      {"activations changed"}},
                                                     rows);
}

}  // namespace actsweep
