// One worker thread for all HDF5 calls of a sweep, so that files are written while the next block
// computes.
//
// In: tasks with the bytes that they hold. Tasks run in order; `submit` blocks while the bytes
// waiting pass the limit. After a task fails, later tasks are dropped; `drain` throws that first
// failure. The worker makes no MPI call.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace actsweep {

class IoThread {
 public:
  explicit IoThread(size_t limit_bytes);
  /// Runs what is queued, then joins; a failure that nobody drained is lost.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  /// Queues a task that holds `bytes`. A task larger than the limit waits until the queue is empty.
  void submit(size_t bytes, std::function<void()> task);
  /// Waits until this holds, which a task brings about, or a task has failed.
  void wait_until(const std::function<bool()>& holds);
  /// Waits until all tasks have run or been dropped; throws the first failure, every time.
  void drain();
  /// Has a task failed? Cheap: to be asked at every layer.
  bool failed() const { return failed_.load(std::memory_order_acquire); }

 private:
  struct Task {
    size_t bytes = 0;
    std::function<void()> run;
  };

  void work();
  void run(Task& task);

  const size_t limit_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> waiting_;
  size_t held_bytes_ = 0;  // of the tasks waiting and of the one that runs
  bool is_running_ = false;
  bool is_stopping_ = false;
  std::atomic<bool> failed_ = false;
  std::exception_ptr failure_;
  std::thread worker_;
};

}  // namespace actsweep
