#include "plan/layout.h"

#include <algorithm>

#include "base/error.h"
#include "job/token_sample.h"

namespace actsweep {
namespace {

constexpr double kLongSegment_s = 600;
// bytes_text may round down by this.
constexpr int64_t kTextUnit_bytes = (1 << 30) / 200 + 1;

std::string bytes_text(int64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1ll << 30));
}

/// What the store takes before it is compressed.
std::string store_text(const SweepFacts& facts) {
  const auto sample = sample_of(facts.job.store);
  const int64_t token_bytes = stored_token_bytes(facts);
  const auto of_each = fmt::format("{:.1f} KiB a token", static_cast<double>(token_bytes) / 1024);
  if (!sample.is_known()) return of_each + ", of tokens with an event";
  const int64_t tokens = sample.expected(facts.tokens);
  const bool is_average = sample.kind == TokenSample::Kind::kRandom;
  return fmt::format("{} at most, of {}{} tokens, {}", bytes_text(tokens * token_bytes),
                     is_average ? "about " : "", tokens, of_each);
}

/// The facts after a change of the job's micro-batch.
SweepFacts with_microbatch(SweepFacts facts, int64_t members) {
  const int64_t length = facts.job.corpus.sequence_length;
  facts.job.parallel.microbatch_tokens = members * length;
  facts.segments.windows_per_microbatch = members;
  return facts;
}

/// A change of the job: what it makes of the facts, and the options that make it.
struct Proposal {
  SweepFacts facts;
  int64_t members = 1;
  std::string options;
};

/// The smallest micro-batches with streamed weights, on model groups of `members`.
Proposal smallest(SweepFacts facts, int64_t members) {
  facts.job.parallel.weights = WeightMode::kStreamed;
  facts = with_microbatch(facts, members);
  auto options = fmt::format("--set parallel.weights=streamed --set parallel.microbatch_tokens={}",
                             facts.job.parallel.microbatch_tokens);
  return {std::move(facts), members, std::move(options)};
}

/// The options of a proposal with blocks of at most `block` windows.
std::string options_of(const Proposal& proposal, int64_t block) {
  const auto& job = proposal.facts.job;
  const int64_t tokens = block * job.corpus.sequence_length;
  if (job.parallel.block_tokens.value_or(0) <= tokens) return proposal.options;
  return fmt::format("{}{}--set parallel.block_tokens={}", proposal.options,
                     proposal.options.empty() ? "" : " ", tokens);
}

/// What would fit: the change that costs least of a smaller block, streamed weights, smaller
/// micro-batches, wider groups.
std::string what_would_fit(const SweepFacts& facts, const Machine& machine) {
  const int64_t members = facts.job.parallel.tensor;
  auto streamed = facts;
  streamed.job.parallel.weights = WeightMode::kStreamed;
  std::vector<Proposal> proposals = {{facts, members, ""},
                                     {streamed, members, "--set parallel.weights=streamed"},
                                     smallest(facts, members)};
  for (int64_t more = members + 1; more <= machine.ranks; ++more) {
    if (machine.ranks % more != 0) continue;
    proposals.push_back(smallest(facts, more));
    proposals.back().options += fmt::format(" --set parallel.tensor={}", more);
  }
  for (const auto& proposal : proposals) {
    const int64_t block = largest_block(proposal.facts, machine, proposal.members);
    if (block > 0) return options_of(proposal, block) + " would fit";
  }
  const auto& least = proposals[2];
  const auto demand = memory_demand(least.facts, members, machine.threads, members);
  const bool lacks_host = demand.total() <= machine.memory_bytes;
  const int64_t bytes = lacks_host ? demand.host.total() : demand.total();
  return fmt::format("{} and {} a rank{} would fit, or more ranks", options_of(least, members),
                     bytes_text(bytes + kTextUnit_bytes), lacks_host ? " on the host" : "");
}

/// What the host of a GPU lacks or has.
std::string host_text(const MemoryDemand& demand, const Machine& machine) {
  const auto& host = demand.host;
  return fmt::format("{} a rank of {} (staging {}, rows {})", bytes_text(host.total()),
                     machine.host_bytes > 0 ? bytes_text(machine.host_bytes) : "unknown",
                     bytes_text(host.staging), bytes_text(host.rows));
}

bool fits(const MemoryDemand& demand, const Machine& machine) {
  return demand.total() <= machine.memory_bytes &&
         (machine.host_bytes == 0 || demand.host.total() <= machine.host_bytes);
}

/// What the bytes of a rank are for, where it computes.
std::string parts_text(const MemoryDemand& demand) {
  auto text = fmt::format("weights {}, residual {}, work space {}, statistics {}",
                          bytes_text(demand.weights), bytes_text(demand.residual),
                          bytes_text(demand.workspace), bytes_text(demand.statistics));
  if (demand.attention > 0) text += ", attention " + bytes_text(demand.attention);
  if (demand.collectives > 0) text += ", collectives " + bytes_text(demand.collectives);
  return text;
}

void refuse_memory(const SweepFacts& facts, const Machine& machine, int64_t block_windows) {
  const auto demand =
      memory_demand(facts, facts.job.parallel.tensor, machine.threads, block_windows);
  require(demand.total() > machine.memory_bytes, ErrorKind::kJob,
          "the job does not fit on the host: expected at most {} a rank, found {} with blocks of {} "
          "tokens; {}",
          bytes_text(machine.host_bytes), host_text(demand, machine),
          block_windows * facts.job.corpus.sequence_length, what_would_fit(facts, machine));
  fail(ErrorKind::kJob,
       "the job does not fit: expected at most {} a rank, found {} ({}) with blocks of {} tokens; {}",
       bytes_text(machine.memory_bytes), bytes_text(demand.total()), parts_text(demand),
       block_windows * facts.job.corpus.sequence_length, what_would_fit(facts, machine));
}

int64_t choose_block(const SweepFacts& facts, const Machine& machine, int64_t members) {
  const int64_t unit = facts.segments.windows_per_microbatch;
  const auto& wanted = facts.job.parallel.block_tokens;
  if (!wanted) {
    const int64_t block = largest_block(facts, machine, members);
    if (block == 0) refuse_memory(facts, machine, unit);
    return block;
  }
  const int64_t windows =
      std::max<int64_t>(1, *wanted / facts.job.corpus.sequence_length / unit) * unit;
  const int64_t block = std::min(windows, facts.segments.windows_per_segment);
  if (!fits(memory_demand(facts, members, machine.threads, block), machine)) {
    refuse_memory(facts, machine, block);
  }
  return block;
}

void add_warnings(const SweepFacts& facts, const Machine& machine, SweepLayout& layout) {
  const int64_t segments = facts.segments.segments();
  const double segment_s =
      layout.seconds * static_cast<double>(layout.replicas) / static_cast<double>(segments);
  if (segment_s > kLongSegment_s) {
    layout.warnings.push_back(
        fmt::format("a segment takes about {:.0f} minutes, and a kill loses the unfinished one; a "
                    "smaller [output] segment_tokens loses less",
                    segment_s / 60));
  }
  if (segments < 4 * layout.replicas && layout.replicas > 1) {
    layout.warnings.push_back(
        fmt::format("{} segments over {} replicas: some replicas will be idle; a smaller [output] "
                    "segment_tokens keeps more of them busy",
                    segments, layout.replicas));
  }
  const int64_t disk = layout.disk.segments + layout.disk.final;
  if (machine.free_disk_bytes >= 0 && disk > machine.free_disk_bytes) {
    layout.warnings.push_back(fmt::format("the disk may run full: {} needed at most, {} free",
                                          bytes_text(disk), bytes_text(machine.free_disk_bytes)));
  }
  const int64_t microbatch =
      facts.segments.windows_per_microbatch * facts.job.corpus.sequence_length;
  if (microbatch > facts.job.parallel.microbatch_tokens) {
    layout.warnings.push_back(fmt::format(
        "[parallel] microbatch_tokens = {} is less than a window for each rank of a model group: "
        "micro-batches have {} tokens",
        facts.job.parallel.microbatch_tokens, microbatch));
  }
  const auto& a = facts.architecture;
  if (a.max_positions > 0 && facts.job.corpus.sequence_length > a.max_positions) {
    layout.warnings.push_back(fmt::format(
        "[corpus] sequence_length = {} is more than the {} positions that the model was trained on",
        facts.job.corpus.sequence_length, a.max_positions));
  }
}

}  // namespace

int64_t largest_block(const SweepFacts& facts, const Machine& machine, int64_t members) {
  const int64_t unit = facts.segments.windows_per_microbatch;
  const auto fits_with = [&](int64_t microbatches) {
    return fits(memory_demand(facts, members, machine.threads, microbatches * unit), machine);
  };
  int64_t low = 0, high = (facts.segments.windows_per_segment + unit - 1) / unit;
  if (fits_with(high)) return high * unit;  // no rows wait for another block
  for (--high; low < high;) {
    const int64_t middle = (low + high + 1) / 2;
    if (fits_with(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low * unit;
}

std::string time_text(double seconds) {
  if (seconds <= 0) return "unknown";
  if (seconds < 120) return fmt::format("about {:.0f} s", seconds);
  if (seconds < 7200) return fmt::format("about {:.0f} min", seconds / 60);
  return fmt::format("about {:.1f} h", seconds / 3600);
}

std::string table_row(const std::string& name, const std::string& value) {
  return fmt::format("  {:<14}{}\n", name, value);
}

std::string exact_time(double seconds) {
  if (seconds < 600) return fmt::format("{:.3g} s", seconds);
  if (seconds < 36000) return fmt::format("{:.3g} min", seconds / 60);
  return fmt::format("{:.3g} h", seconds / 3600);
}

SweepLayout plan_layout(const SweepFacts& facts, const Machine& machine) {
  SweepLayout layout;
  layout.ranks = machine.ranks;
  layout.members = facts.job.parallel.tensor;
  layout.threads = machine.threads;
  require(machine.ranks % layout.members == 0, ErrorKind::kJob,
          "[parallel] tensor = {}: expected a number of ranks that it divides, found {}",
          layout.members, machine.ranks);
  layout.replicas = machine.ranks / layout.members;
  layout.block_windows = choose_block(facts, machine, layout.members);
  layout.memory = memory_demand(facts, layout.members, machine.threads, layout.block_windows);
  layout.disk = disk_demand(facts);
  layout.costs = sweep_costs(facts, machine, layout.members, layout.block_windows);
  layout.seconds = layout.costs.seconds();
  add_warnings(facts, machine, layout);
  return layout;
}

std::string layout_table(const SweepFacts& facts, const Machine& machine,
                         const SweepLayout& layout) {
  const auto& job = facts.job;
  const auto& a = facts.architecture;
  const int64_t length = job.corpus.sequence_length;
  std::string text = table_row(
      "model", fmt::format("{} ({}, {} layers, {} channels, {} heads), {}", a.name, a.family,
                           a.layers, a.channels, a.heads, name_of(job.model.dtype)));
  text += table_row("corpus", fmt::format("{} tokens in {} windows of {}", facts.tokens,
                                          facts.sequences, length));
  text += table_row("ranks",
                    fmt::format("{} = {} replicas x {} model ranks, {} threads each", layout.ranks,
                                layout.replicas, layout.members, layout.threads));
  text += table_row(
      "work",
      fmt::format("{} segments of {} tokens, blocks of {}, micro-batches of {}",
                  facts.segments.segments(), facts.segments.windows_per_segment * length,
                  layout.block_windows * length, facts.segments.windows_per_microbatch * length));
  text += table_row("weights", fmt::format("{} a rank, {}", bytes_text(layout.memory.weights),
                                           name_of(job.parallel.weights)));
  if (!facts.quantisation.empty()) {
    text += table_row("stored",
                      fmt::format("{}, {}", bytes_text(facts.stored_bytes), facts.quantisation));
  }
  if (facts.widens_products) {
    text +=
        table_row("products", fmt::format("in float32, of widened {}: this CPU has no instructions "
                                          "for products of {}",
                                          name_of(job.model.dtype), name_of(job.model.dtype)));
  }
  text += table_row("residual", bytes_text(layout.memory.residual) + " a rank");
  text += table_row("work space", bytes_text(layout.memory.workspace) + " a rank");
  text += table_row("statistics", bytes_text(layout.memory.statistics) + " a rank");
  if (machine.is_gpu) {
    text += table_row("attention", bytes_text(layout.memory.attention) + " a rank");
    text += table_row("collectives", bytes_text(layout.memory.collectives) + " a rank, estimated");
    text += table_row("host", host_text(layout.memory, machine));
  }
  text += table_row("memory", fmt::format("{} a rank of {}", bytes_text(layout.memory.total()),
                                          bytes_text(machine.memory_bytes)));
  const auto* stay = job.output.layout == RowLayout::kLinked ? ", which stay" : "";
  const auto free = machine.free_disk_bytes < 0 ? "unknown" : bytes_text(machine.free_disk_bytes);
  text += table_row(
      "disk", fmt::format("segments at most {}{}, final file at most {}, free {}",
                          bytes_text(layout.disk.segments), stay, bytes_text(layout.disk.final),
                          free));
  if (!job.store.sites.empty()) text += table_row("store", store_text(facts));
  text += table_row("time", time_text(layout.seconds));
  for (const auto& warning : layout.warnings) text += table_row("warning", warning);
  return text;
}

}  // namespace actsweep
