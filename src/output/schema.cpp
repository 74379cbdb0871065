#include "output/schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace actsweep {
namespace {

/// The path up to its last slash, with a slash in front: "/residual", or "/" for a dataset at the
/// root.
std::string group_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return fmt::format("/{}", slash == std::string::npos ? "" : path.substr(0, slash));
}

std::string axes_text(const Dataset& dataset) {
  if (dataset.axes.empty()) return "(scalar)";
  std::vector<std::string> names;
  for (const Axis axis : dataset.axes) names.emplace_back(name_of(axis));
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string notes_text(const Dataset& dataset) {
  if (dataset.index_of) return fmt::format("; counts along `{}`", name_of(*dataset.index_of));
  return dataset.counts_documents ? "; counts along the corpus' documents" : "";
}

/// A bar would end the table's cell.
std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '|' ? std::string("\\|") : std::string(1, c);
  return result;
}

}  // namespace

std::string schema_markdown(const std::vector<Dataset>& datasets) {
  std::vector<std::string> groups;  // in the order of the file
  for (const auto& dataset : datasets) {
    const std::string group = group_of(dataset.path);
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  std::string text;
  for (const auto& group : groups) {
    text += fmt::format(
        "{}### `{}`\n\n| dataset | type | axes | units | meaning | merge |\n"
        "|---|---|---|---|---|---|\n",
        text.empty() ? "" : "\n", group);
    for (const auto& dataset : datasets) {
      if (group_of(dataset.path) != group) continue;
      text += fmt::format("| `{}` | {} | {} | {} | {}{} | {} |\n",
                          dataset.path.substr(dataset.path.rfind('/') + 1), name_of(dataset.type),
                          axes_text(dataset), dataset.units, escaped(dataset.long_name),
                          notes_text(dataset), name_of(dataset.merge));
    }
  }
  return text;
}

}  // namespace actsweep
