// What a sweep runs on: ranks, their memory, and what each of them does in a second.
//
// Figures are sustained ones: of a machine file, or measured where the program runs. Pure data.
#pragma once

#include <cstdint>
#include <string>

#include "job/job.h"

namespace actsweep {

/// The rest of a rank's memory is for what nobody counts: the allocator's own, libraries, other
/// processes.
inline constexpr double kMemoryShare = 0.8;

/// Of one rank where nothing else is said; 0: unknown.
struct Rates {
  double products = 0;          // floating-point operations of matrix products, per second
  double attention = 0;         // the same of scores and of sums of values
  double float32_products = 0;  // products in float32, where statistics take them
  double memory = 0;            // bytes per second that element-wise steps read and write
  double statistics = 0;        // bytes of rows that are measured
  double link = 0;              // bytes from the other ranks of its node
  double host_link = 0;         // bytes between host and device; 0: there is no device
  double gather = 0;            // bytes of the embedding table, read where it lies
  double network = 0;           // bytes into a node from other nodes
  double disk_read = 0;         // bytes of all nodes together, as the next
  double disk_write = 0;
  double compression = 0;  // bytes of rows, of one thread alone
  double start_s = 0;      // seconds until a rank computes, and from its end to the program's
};

/// A count in floating-point arithmetic.
inline double as_real(int64_t count) { return static_cast<double>(count); }

struct Machine {
  int64_t ranks = 1;
  int64_t threads = 1;           // per rank
  int64_t memory_bytes = 0;      // per rank, for actsweep's own use, where it computes
  int64_t host_bytes = 0;        // the same of a GPU's host; 0: unknown, or no GPU
  int64_t free_disk_bytes = -1;  // where the output goes; below 0: unknown
  int64_t ranks_per_node = 0;    // 0: all
  int64_t node_bytes = 0;        // of a node's own memory; 0: that of its ranks
  bool is_gpu = false;
  std::string name = "this machine";
  Rates rates;

  int64_t ranks_of_node() const { return ranks_per_node > 0 ? ranks_per_node : ranks; }
  int64_t nodes() const { return (ranks + ranks_of_node() - 1) / ranks_of_node(); }
};

}  // namespace actsweep
