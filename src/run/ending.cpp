#include "run/ending.h"

#include <c10/util/Exception.h>

#include <cstdlib>
#include <utility>

#include "base/error.h"

namespace actsweep {
namespace {

// A handler of std::terminate can reach nothing but a static.
std::function<void(const Ending&)>& uncaught_end() {
  static std::function<void(const Ending&)> end;
  return end;
}

[[noreturn]] void end_uncaught() {
  const auto end = std::exchange(uncaught_end(), {});  // once: it may fail itself
  const auto error = std::current_exception();
  if (end && error) end(ending_of(error));
  std::abort();
}

}  // namespace

Ending ending_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& known) {
    return {known.what(), known.exit_code()};
  } catch (const c10::Error& of_torch) {
    return {of_torch.what_without_backtrace(), static_cast<int>(ErrorKind::kDevice)};
  } catch (const std::exception& other) {
    return {other.what()};
  } catch (...) {
    return {"an exception without a message"};
  }
}

UncaughtEnd::UncaughtEnd(std::function<void(const Ending&)> end) {
  uncaught_end() = std::move(end);
  std::set_terminate(end_uncaught);
}

UncaughtEnd::~UncaughtEnd() { uncaught_end() = {}; }

}  // namespace actsweep
