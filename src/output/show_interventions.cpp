#include "output/show_interventions.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
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

/// As many as /variants has.
std::vector<std::string> names_of_variants(const H5File& file, size_t count) {
  const auto text = file.has_attribute("variants") ? file.read_text("variants") : "";
  const auto names = nlohmann::json::parse(text, nullptr, false);
  require(names.is_array() && names.size() == count, ErrorKind::kOutput,
          "{}: root attribute 'variants' does not name the {} variants of /variants", file.file(),
          count);
  return names.get<std::vector<std::string>>();
}

/// "71.3 %" of those images whose label stands at most at a rank.
std::string share_within(std::span<const uint32_t> ranks, uint32_t rank) {
  const auto right = std::ranges::count_if(ranks, [&](uint32_t each) { return each <= rank; });
  return fmt::format("{:.1f} %",
                     100.0 * static_cast<double>(right) / static_cast<double>(ranks.size()));
}

std::vector<uint32_t> read_ranks(const H5File& file, const char* path) {
  const H5Dataset dataset = file.dataset(path);
  hsize_t count = 1;
  for (const auto length : dataset.shape()) count *= length;
  std::vector<uint32_t> ranks(count);
  dataset.read_all(H5T_NATIVE_UINT32, ranks.data());
  return ranks;
}

}  // namespace

std::string classification_table(const H5File& file) {
  if (!file.contains("classification/label_rank")) return "";
  const auto original = read_ranks(file, "classification/label_rank");
  std::vector<std::vector<std::string>> rows;
  const auto add = [&](const std::string& name, std::span<const uint32_t> ranks) {
    rows.push_back({name, share_within(ranks, 0), share_within(ranks, 4)});
  };
  add("(original)", original);
  if (file.contains("variants/label_rank")) {
    const auto ranks = read_ranks(file, "variants/label_rank");
    const auto names = names_of_variants(file, ranks.size() / original.size());
    for (size_t i = 0; i < names.size(); ++i) {
      add(names[i], std::span(ranks).subspan(i * original.size(), original.size()));
    }
  }
  return fmt::format("\nClasses of {} images\n", grouped(static_cast<int64_t>(original.size()))) +
         format_table({{"variant", Align::kLeft}, {"top 1"}, {"top 5"}}, rows);
}

std::string intervention_lines(const H5File& file) {
  if (!file.has_attribute("intervention")) return "";
  std::string text;
  for (const auto& table : lines_by_table(file.read_text("intervention"))) {
    text += fmt::format("  intervened  {}\n", table);
  }
  return text;
}

std::string variant_table(const H5File& file) {
  if (!file.contains("variants/perplexity")) return "";
  const auto perplexity = read_variants<double>(file, "perplexity", H5T_NATIVE_DOUBLE);
  const auto windows = read_variants<double>(file, "windows_perplexity", H5T_NATIVE_DOUBLE);
  const auto tokens = read_variants<int64_t>(file, "matched_tokens", H5T_NATIVE_INT64);
  const auto changed = read_variants<int64_t>(file, "changed_activations", H5T_NATIVE_INT64);
  const auto names = names_of_variants(file, perplexity.size());
  std::vector<std::vector<std::string>> rows = {
      {"(original)", readable(original_perplexity(file, "perplexity")),
       readable(original_perplexity(file, "windows_perplexity")), "", ""}};
  for (size_t i = 0; i < perplexity.size(); ++i) {
    rows.push_back({names[i], readable(perplexity[i]), readable(windows[i]), grouped(tokens[i]),
                    grouped(changed[i])});
  }
  return "\nPerplexity of variants\n" + format_table({{"variant", Align::kLeft},
                                                      {"over tokens"},
                                                      {"mean of windows"},
                                                      {"tokens matched"},
                                                      {"activations changed"}},
                                                     rows);
}

}  // namespace actsweep
