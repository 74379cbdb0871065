#include "run/place.h"

#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>
#include <torch/headeronly/version.h>

#include "base/version.h"
#include "comm/agreement.h"
#include "comm/binding.h"
#include "comm/device.h"

namespace actsweep {
namespace {

RankFacts facts_of(at::Device device) {
  return {node_name(), describe_device(device), cpu_instructions(),
          fmt::format("{} ({})", kVersion, kGitCommit), TORCH_VERSION};
}

}  // namespace

Place find_place(const Job& job, const MpiSession& session) {
  Place place{session};
  agree(MPI_COMM_WORLD, [&] { place.device = share_devices(MPI_COMM_WORLD); });
  place.threads = job.parallel.threads.value_or(threads_per_rank(MPI_COMM_WORLD));
  at::set_num_threads(static_cast<int>(place.threads));
  const auto all = gather_facts(facts_of(place.device), MPI_COMM_WORLD);
  Placement placement;
  agree(MPI_COMM_WORLD,
        [&] { placement = place_ranks(all, job.parallel.tensor, job.parallel.across_nodes); });
  place.number = placement.places.at(session.rank());
  place.is_mixed = placement.is_mixed;
  auto warnings = placement.warnings;
  warnings.push_back(binding_warning(MPI_COMM_WORLD, job.parallel.threads));
  for (const auto& warning : warnings) {
    if (session.rank() == 0 && !warning.empty()) spdlog::warn("{}", warning);
  }
  return place;
}

Watchdog::Rank watched_rank(const Place& place) {
  return {place.session.rank(), place.session.size(), node_name(), describe_device(place.device)};
}

}  // namespace actsweep
