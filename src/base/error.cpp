#include "base/error.h"

namespace actsweep {

void ensure(bool ok, const char* claim, std::source_location where) {
  if (ok) return;
  throw std::logic_error(fmt::format("internal error at {}:{} ({}): {}", where.file_name(),
                                     where.line(), where.function_name(), claim));
}

}  // namespace actsweep
