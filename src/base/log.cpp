#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace actsweep {

void start_log(int rank, int world_size) {
  auto logger = spdlog::get("actsweep");
  if (!logger) logger = spdlog::stderr_color_mt("actsweep");
  logger->set_pattern(fmt::format("%Y-%m-%d %H:%M:%S.%e [{}/{}] %^%l%$: %v", rank, world_size));
  logger->set_level(rank == 0 ? spdlog::level::info : spdlog::level::warn);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
}

}  // namespace actsweep
