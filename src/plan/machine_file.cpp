#include "plan/machine_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <vector>

#include "base/error.h"

namespace actsweep {
namespace {

namespace fs = std::filesystem;

constexpr double kGiB = 1 << 30;
constexpr double kTera = 1e12;
constexpr double kGiga = 1e9;

/// Takes numbers out of a parsed file; what nobody takes is unknown.
class MachineKeys {
 public:
  explicit MachineKeys(const std::string& path) : path_(path) {
    try {
      table_ = toml::parse_file(path);
    } catch (const toml::parse_error& error) {
      const auto& begin = error.source().begin;
      fail(ErrorKind::kJob, "{}:{}:{}: not TOML: {}", path, begin.line, begin.column,
           error.description());
    }
  }

  double number(const std::string& key, std::optional<double> otherwise = {}) {
    taken_.insert(key);
    const auto* node = table_.get(key);
    if (node == nullptr) {
      require(otherwise.has_value(), ErrorKind::kJob,
              "{}: {}: expected a number, found no such key", path_, key);
      return *otherwise;
    }
    const auto value = node->is_number() ? node->value<double>() : std::nullopt;
    require(value && *value > 0, ErrorKind::kJob, "{}:{}: {}: expected a number above 0, found {}",
            path_, node->source().begin.line, key, text_of(*node));
    return *value;
  }

  int64_t count(const std::string& key) {
    const double value = number(key);
    require(value == std::floor(value) && value < kGiga, ErrorKind::kJob,
            "{}: {}: expected a whole number, found {}", path_, key, value);
    return static_cast<int64_t>(value);
  }

  bool flag(const std::string& key) {
    taken_.insert(key);
    const auto value = table_[key].value_exact<bool>();
    require(value.has_value(), ErrorKind::kJob, "{}: {}: expected true or false", path_, key);
    return *value;
  }

  void refuse_others() const {
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      require(taken_.contains(name), ErrorKind::kJob,
              "{}:{}: {}: expected one of the keys {}, found another", path_,
              node.source().begin.line, name, fmt::join(taken_, ", "));
    }
  }

 private:
  static std::string text_of(const toml::node& node) {
    if (const auto number = node.value<double>()) return fmt::format("{}", *number);
    return fmt::format("\"{}\"", node.value<std::string>().value_or("..."));
  }

  std::string path_;
  toml::table table_;
  std::set<std::string> taken_;
};

std::vector<std::string> installed(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    if (file.path().extension() == ".toml") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string path_of(const std::string& name, const std::string& folder) {
  if (fs::path(name).extension() == ".toml" || name.find('/') != std::string::npos) {
    require(fs::is_regular_file(name), ErrorKind::kJob, "--machine {}: expected a file, found none",
            name);
    return name;
  }
  const auto path = fs::path(folder) / (name + ".toml");
  require(fs::is_regular_file(path), ErrorKind::kJob,
          "--machine {}: expected a file NAME.toml or one of the machines {} of {}, found neither",
          name, fmt::join(installed(folder), ", "), folder);
  return path;
}

Rates rates_of(MachineKeys& keys, Dtype dtype, bool is_gpu) {
  Rates rates;
  const double float32 = keys.number("float32_tflops") * kTera;
  const double half = keys.number("half_tflops") * kTera;
  const double attention = keys.number("half_attention_tflops") * kTera;
  const double float32_attention = keys.number("float32_attention_tflops") * kTera;
  const bool is_float32 = dtype == Dtype::kFloat32;
  rates.products = is_float32 ? float32 : half;
  rates.attention = is_float32 ? float32_attention : attention;
  rates.float32_products = float32;
  rates.memory = keys.number("memory_gb_s") * kGiga;
  rates.statistics = keys.number("statistics_gb_s") * kGiga;
  rates.link = keys.number("link_gb_s") * kGiga;
  if (is_gpu) rates.host_link = keys.number("host_link_gb_s") * kGiga;
  rates.gather = keys.number("gather_gb_s") * kGiga;
  rates.network = keys.number("network_gb_s") * kGiga;
  rates.disk_read = keys.number("disk_read_gb_s") * kGiga;
  rates.disk_write = keys.number("disk_write_gb_s") * kGiga;
  rates.compression = keys.number("compression_gb_s") * kGiga;
  rates.start_s = keys.number("start_s");
  return rates;
}

}  // namespace

Machine read_machine(const std::string& name, const std::string& folder, Dtype dtype,
                     std::optional<int64_t> ranks) {
  const auto path = path_of(name, folder);
  MachineKeys keys(path);
  Machine machine;
  machine.name = fs::path(path).stem().string();
  machine.is_gpu = keys.flag("gpus");
  machine.ranks_per_node = keys.count("ranks_per_node");
  const int64_t nodes = keys.count("nodes");
  machine.ranks = ranks.value_or(nodes * machine.ranks_per_node);
  machine.threads = keys.count("threads");
  machine.memory_bytes = static_cast<int64_t>(kMemoryShare * keys.number("memory_gib") * kGiB);
  machine.node_bytes = static_cast<int64_t>(keys.number("node_memory_gib") * kGiB);
  if (machine.is_gpu) {
    machine.host_bytes = static_cast<int64_t>(kMemoryShare * as_real(machine.node_bytes)) /
                         machine.ranks_of_node();
  }
  machine.rates = rates_of(keys, dtype, machine.is_gpu);
  keys.refuse_others();
  return machine;
}

std::string machine_folder(const std::string& program) {
  const auto beside = fs::path(program).parent_path().parent_path();
  const auto of_sources = beside / "jobs/machines";
  return fs::is_directory(of_sources) ? of_sources : beside / "share/actsweep/machines";
}

}  // namespace actsweep
