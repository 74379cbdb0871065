#include "output/io_thread.h"

#include <utility>

namespace actsweep {

IoThread::IoThread(size_t limit_bytes) : limit_bytes_(limit_bytes), worker_([this] { work(); }) {}

IoThread::~IoThread() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

void IoThread::submit(size_t bytes, std::function<void()> task) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return held_bytes_ == 0 || held_bytes_ + bytes <= limit_bytes_; });
  held_bytes_ += bytes;
  waiting_.push_back({bytes, std::move(task)});
  lock.unlock();
  changed_.notify_all();
}

void IoThread::wait_until(const std::function<bool()>& holds) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return holds() || failed(); });
}

void IoThread::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty() && !is_running_; });
  if (failure_) std::rethrow_exception(failure_);
}

void IoThread::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return is_stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    is_running_ = true;
    lock.unlock();
    run(task);
    lock.lock();
    is_running_ = false;
    held_bytes_ -= task.bytes;
    changed_.notify_all();
  }
}

void IoThread::run(Task& task) {
  try {
    if (!failed()) task.run();
  } catch (...) {
    const std::lock_guard lock(mutex_);
    failure_ = std::current_exception();
    failed_.store(true, std::memory_order_release);
  }
  task.run = nullptr;  // what it holds goes before its bytes are counted free
}

}  // namespace actsweep
