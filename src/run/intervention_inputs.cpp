#include "run/intervention_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "base/error.h"
#include "job/token_selector.h"
#include "probe/site.h"
#include "run/check_statistics.h"
#include "run/earlier_sweep.h"
#include "schema/declare.h"

namespace actsweep {
namespace {

constexpr auto kKind = ErrorKind::kJob;
using Kind = TokenSelector::Kind;

/// Heads of a row of a site, or key/value heads.
int64_t heads_of(const Architecture& a, Site site) {
  return layout_of(site) == SiteLayout::kKeys ? a.kv_heads : a.heads;
}

void check_layer(const std::string& name, const Job::Intervention& wanted, const Architecture& a) {
  const int64_t layer = wanted.layer.value_or(0);
  require(layer <= a.layers, kKind, "{} layer = {}: expected at most the model's {} layers", name,
          layer, a.layers);
  require(!wanted.layer || has_site(a, layer - 1, wanted.site), kKind,
          "{} layer = {}: expected a block of {} with the site \"{}\", found one without", name,
          layer, a.family, name_of(wanted.site));
  bool is_anywhere = false;
  for (int64_t block = 0; block < a.layers; ++block) is_anywhere |= has_site(a, block, wanted.site);
  require(is_anywhere, kKind, "{} site = \"{}\": expected a site of {}, which has it in no block",
          name, name_of(wanted.site), a.family);
}

/// Refuses numbers of channels or of heads that are not below `count`.
void check_numbers(const std::string& name, const char* key, const std::vector<int64_t>& numbers,
                   int64_t count) {
  for (const int64_t number : numbers) {
    require(number < count, kKind, "{} {}: expected {} below {}, found {}", name, key, key, count,
            number);
  }
}

/// Refuses experts of a model without, and layers without.
void check_experts(const std::string& name, const Job::Intervention& wanted,
                   const Architecture& a) {
  if (wanted.experts.empty()) return;
  require(a.experts.count > 0, kKind, "{} experts: {} has no routed experts", name, a.family);
  check_numbers(name, "experts", wanted.experts, a.experts.count);
  require(!wanted.layer || a.has_experts(*wanted.layer - 1), kKind,
          "{} layer = {}: expected a block with routed experts, found one without", name,
          wanted.layer.value_or(0));
}

bool meet(const Job::Intervention& one, const Job::Intervention& other) {
  const bool is_same_layer = !one.layer || !other.layer || one.layer == other.layer;
  return is_same_layer && (!other.variant || other.variant == one.variant);
}

/// Refuses a table that, with the others of its stream, leaves a layer fewer experts than a token
/// chooses, of whichever tokens they are.
void check_barred(const std::string& name, const Job& job, const Job::Intervention& wanted,
                  const Architecture& a) {
  if (wanted.action != Action::kBar) return;
  std::set<int64_t> barred;
  for (const auto& other : job.interventions) {
    if (other.action == Action::kBar && meet(wanted, other)) {
      barred.insert(other.experts.begin(), other.experts.end());
    }
  }
  const int64_t left = a.experts.count - static_cast<int64_t>(barred.size());
  require(left >= a.experts.chosen, kKind,
          "{} experts: expected {} or more of {} left, as many as a token chooses, found {}", name,
          a.experts.chosen, a.experts.count, left);
}

/// Refuses to measure attention by scores that are not the model's.
void check_shift(const std::string& name, const Job& job, const Job::Intervention& wanted) {
  if (wanted.action != Action::kShift || wanted.variant) return;
  const auto& statistics = job.statistics;
  require(
      statistics.attention.empty() && !statistics.attention_received && !statistics.score_extrema &&
          !job.capture.attention,
      kKind,
      "{} action = \"shift\": what is measured of attention follows from the model's own scores: "
      "expected a variant, or no attention, attention_received, score_extrema and captured "
      "attention",
      name);
}

/// Refuses weights that the dense MLP of a block lacks.
void check_weight(const std::string& name, const Job::Intervention& wanted, const Architecture& a) {
  if (!wanted.is_weight) return;
  if (const auto lack = lack_of_site(Site::kMlpHidden, a)) {
    fail(kKind, "{} weight = \"down\": {} {}", name, a.family, *lack);
  }
  require(has_site(a, *wanted.layer - 1, Site::kMlpHidden), kKind,
          "{} layer = {}: expected a block with a dense MLP, found one without", name,
          *wanted.layer);
  check_numbers(name, "row", {*wanted.row}, a.channels);
  check_numbers(name, "column", {*wanted.column}, a.dense_width());
}

void check_place(const std::string& name, const Job::Intervention& wanted, const Architecture& a) {
  if (const auto lack = lack_of_site(wanted.site, a)) {
    fail(kKind, "{} site = \"{}\": {} {}", name, name_of(wanted.site), a.family, *lack);
  }
  check_layer(name, wanted, a);
  const int64_t width = site_width(a, wanted.site);
  check_numbers(name, "channels", wanted.channels, width);
  check_numbers(name, "heads", wanted.heads, heads_of(a, wanted.site));
  check_experts(name, wanted, a);
  check_weight(name, wanted, a);
  require(!wanted.is_control() || wanted.count <= width, kKind,
          "{} count = {}: expected at most the model's {} channels", name, wanted.count, width);
}

void check_tokens(const std::string& name, const Job& job, const Job::Intervention& wanted,
                  const Architecture& a, CorpusKind corpus) {
  const auto selector = parse_tokens(wanted.tokens).value();
  require(selector.kind != Kind::kRegisters || a.image.registers > 0, kKind,
          "{} tokens = \"registers\": expected a model with registers, found one of type \"{}\" "
          "without",
          name, a.family);
  require(selector.kind != Kind::kFirstOfClass || corpus == CorpusKind::kText, kKind,
          "{} tokens = \"{}\": expected a corpus of text, found one of images", name,
          wanted.tokens);
  require(selector.kind != Kind::kPosition || selector.position < job.corpus.sequence_length, kKind,
          "{} tokens = \"{}\": expected a position below the {} tokens of a window", name,
          wanted.tokens, job.corpus.sequence_length);
}

template <typename T>
std::vector<T> read_sums(const H5File& file, const std::string& name, const std::string& path,
                         hid_t type, const std::vector<hsize_t>& shape) {
  require(file.contains(path), kKind, "{} from = \"{}\": it has no dataset /{}", name, file.file(),
          path);
  const auto dataset = file.dataset(path);
  require(dataset.shape() == shape, kKind, "{} from = \"{}\": /{} has another shape", name,
          file.file(), path);
  hsize_t count = 1;
  for (const auto length : shape) count *= length;
  std::vector<T> values(count);
  dataset.read_all(type, values.data());
  return values;
}

/// float32 of sum / count; one count serves `per_count` sums.
std::vector<float> divide(const std::vector<double>& sums, const std::vector<int64_t>& counts,
                          size_t per_count) {
  std::vector<float> means(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    const int64_t count = counts[i / per_count];
    means[i] = count > 0 ? static_cast<float>(sums[i] / static_cast<double>(count))
                         : std::numeric_limits<float>::quiet_NaN();
  }
  return means;
}

/// float32 of the population's deviation: √(Σx² / n − (Σx / n)²), never of a number below 0.
std::vector<float> deviations_of(const std::vector<double>& sums,
                                 const std::vector<double>& squares,
                                 const std::vector<int64_t>& counts, size_t per_count) {
  std::vector<float> deviations(sums.size(), std::numeric_limits<float>::quiet_NaN());
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto count = static_cast<double>(counts[i / per_count]);
    if (count == 0) continue;
    const double mean = sums[i] / count;
    deviations[i] = static_cast<float>(std::sqrt(std::max(0.0, squares[i] / count - mean * mean)));
  }
  return deviations;
}

InterventionMeans read_means(const std::string& name, const Job::Intervention& wanted,
                             const Architecture& a) {
  const auto file = open_earlier_sweep(name + " from", *wanted.from);
  const bool is_by_register = parse_tokens(wanted.tokens)->kind == Kind::kRegisters;
  const int64_t groups = is_by_register ? a.image.registers : kClasses;
  const auto layers = static_cast<hsize_t>(a.layers + 1), g = static_cast<hsize_t>(groups);
  const auto c = static_cast<hsize_t>(site_width(a, wanted.site));
  const std::string site = name_of(wanted.site);
  const std::string sum = is_by_register ? "registers/sum" : site + "/class_sum";
  const auto sums = read_sums<double>(file, name, sum, H5T_NATIVE_DOUBLE, {layers, g, c});
  const auto counts =
      is_by_register
          ? read_sums<int64_t>(file, name, "registers/count", H5T_NATIVE_INT64, {layers})
          : read_sums<int64_t>(file, name, site + "/class_count", H5T_NATIVE_INT64, {layers, g});
  const size_t per_count = sums.size() / counts.size();
  InterventionMeans means = {.groups = groups,
                             .values = divide(sums, counts, per_count),
                             .fingerprint = content_fingerprint(file),
                             .of_model = file.read_text("model_fingerprint")};
  if (wanted.action != Action::kNoise) return means;
  const auto squares =
      read_sums<double>(file, name, sum + "_square", H5T_NATIVE_DOUBLE, {layers, g, c});
  means.deviations = deviations_of(sums, squares, counts, per_count);
  return means;
}

}  // namespace

std::string intervention_name(size_t number) {
  return fmt::format("[[intervention]] {}", number + 1);
}

Job::Intervention with_channels_of_heads(Job::Intervention wanted, const Architecture& a) {
  if (wanted.heads.empty()) return wanted;
  const int64_t width = site_width(a, wanted.site) / heads_of(a, wanted.site);
  for (const int64_t head : wanted.heads) {
    for (int64_t c = 0; c < width; ++c) wanted.channels.push_back(head * width + c);
  }
  return wanted;
}

std::vector<InterventionMeans> open_interventions(const Job& job, const Architecture& architecture,
                                                  CorpusKind corpus) {
  std::vector<InterventionMeans> means;
  for (size_t i = 0; i < job.interventions.size(); ++i) {
    const auto& wanted = job.interventions[i];
    const auto name = intervention_name(i);
    check_place(name, wanted, architecture);
    check_barred(name, job, wanted, architecture);
    check_shift(name, job, wanted);
    check_tokens(name, job, wanted, architecture, corpus);
    means.push_back(wanted.from ? read_means(name, wanted, architecture) : InterventionMeans{});
  }
  return means;
}

void check_sources(const Job& job, const std::vector<InterventionMeans>& means,
                   const std::string& model_fingerprint) {
  for (size_t i = 0; i < means.size(); ++i) {
    const auto& found = means[i].of_model;
    require(found.empty() || found == model_fingerprint, kKind,
            "{} from = \"{}\": expected a sweep of this model, with model_fingerprint {}, found {}",
            intervention_name(i), job.interventions[i].from.value_or(""), model_fingerprint, found);
  }
}

void refuse_unmatched(const Job& job, const MergedFields& fields) {
  if (job.interventions.empty()) return;
  const auto& bytes = fields.values.at("interventions/changed_activations");
  std::vector<int64_t> changed(job.interventions.size());
  ensure(bytes.size() == changed.size() * sizeof(int64_t), "each intervention has its count");
  std::memcpy(changed.data(), bytes.data(), bytes.size());
  for (size_t i = 0; i < changed.size(); ++i) {
    auto toml = to_toml({job.interventions[i]});
    std::replace(toml.begin(), toml.end(), '\n', ' ');
    require(changed[i] > 0, kKind,
            "{}: matched no activation in the whole sweep: expected one or more; no file is "
            "written, and the segments can be removed: {}",
            intervention_name(i), toml);
  }
}

}  // namespace actsweep
