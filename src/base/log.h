// The per-rank logger (spdlog's default logger). Rank 0 speaks at `info`; other ranks only warn.
// Every line carries local time, level and rank.
#pragma once

namespace actsweep {

/// Sets spdlog's default logger up for one rank; to be called once, before the first message.
void start_log(int rank, int world_size);

}  // namespace actsweep
