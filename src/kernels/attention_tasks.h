// How attention on a CPU is cut into tasks for threads, and what a task hands to the kernel.
//
// A task is a run of queries of one sequence in the query heads that share a key/value head. It
// packs the keys that they see once.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_kernel.h"
#include "kernels/attention_packing.h"
#include "kernels/cpu_rows.h"

namespace actsweep::cpu {

/// One thread's work space; kept from call to call. Words are float32 or uint32_t.
struct Scratch {
  std::vector<std::byte> keys, values, query;
  std::vector<float> scores, out, key_bias, extra_value, summary;

  void reserve(const AttentionKernel& kernel, const AttentionShape& shape);
  template <typename Word>
  Word* words(std::vector<std::byte>& bytes) {
    return reinterpret_cast<Word*>(bytes.data());
  }
};

/// The queries [begin, end) of one sequence in the query heads that share a key/value head.
struct Task {
  int64_t sequence;
  int64_t key_head;
  int64_t query_begin;  // head
  int64_t query_end;
  int64_t begin;  // position
  int64_t end;
  int64_t chunk;  // the tasks of one chunk have the same positions
};

/// Queries of a task that give all threads enough tasks, in whole calls of a kernel.
int64_t even_length(const AttentionCall& call, int64_t sequences, int64_t kernel_rows);

/// Tasks of `length` queries, those with the most keys first; chunks are numbered from the first
/// position on.
std::vector<Task> tasks_of(const AttentionCall& call, int64_t sequences, int64_t length);

/// Where the keys end that the queries before `end` of a sequence of `length` see.
int64_t end_of_keys(const AttentionCall& call, int64_t sequence, int64_t length, int64_t end);

/// The rows of a task's sequence: queries, keys and values of all heads.
template <typename T>
struct TaskRows {
  const T* first;
  const AttentionShape& shape;

  TaskRows(const T* qkv, const Task& task, const AttentionShape& of_call)
      : first(qkv + task.sequence * of_call.positions * stride_of(of_call)), shape(of_call) {}
  static int64_t stride_of(const AttentionShape& shape) {
    return (shape.query_heads + 2 * shape.key_heads) * shape.width;
  }
  /// `count` rows of a head from `begin` on: queries first, then keys, then values.
  HeadRows<const T> head(int64_t number, int64_t begin, int64_t count) const {
    const int64_t stride = stride_of(shape);
    return {first + begin * stride + number * shape.width, stride, count, shape.width};
  }
  HeadRows<const T> keys(const Task& task, int64_t count) const {
    return head(shape.query_heads + task.key_head, 0, count);
  }
  HeadRows<const T> values(const Task& task, int64_t count) const {
    return head(shape.query_heads + shape.key_heads + task.key_head, 0, count);
  }
};

/// What all calls of a task have in common; its keys and queries lie in the scratch.
HeadQueries common_queries(const AttentionCall& call, const Task& task,
                           const AttentionKernel& kernel, int64_t seen, Scratch& scratch);

/// What each query head has for itself: its bias, extra key and sink.
void set_head(const AttentionCall& call, int64_t head, HeadQueries& queries, Scratch& scratch);

/// Packs the queries of a call. float32 ones are scaled as they are packed; bfloat16 ones would be
/// rounded, so that the kernel scales their products.
template <typename Word, typename T>
void pack_queries(const HeadRows<const T>& rows, const AttentionCall& call,
                  const AttentionKernel& kernel, Scratch& scratch) {
  auto* packed = scratch.words<Word>(scratch.query);
  pack_transposed(parts_of<Word>(rows), kernel.rows, packed);
  if constexpr (std::is_same_v<Word, float>) {
    const auto scale = static_cast<float>(call.scores.scale);
    for (int64_t i = 0; i < rows.width * kernel.rows; ++i) packed[i] *= scale;
  }
}

/// Calls `one(task, scratch)` for all tasks, on all threads.
template <typename One>
void over_tasks(const std::vector<Task>& tasks, const AttentionKernel& kernel,
                const AttentionShape& shape, const One& one) {
  std::atomic<size_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    thread_local Scratch scratch;
    scratch.reserve(kernel, shape);
    for (size_t task = next++; task < tasks.size(); task = next++) one(tasks[task], scratch);
  });
}

/// Calls `one(word, element)` with null pointers to the types of a kernel's words and of the rows.
template <typename One>
void with_words(const AttentionKernel& kernel, at::ScalarType dtype, const One& one) {
  if (kernel.depths == 2) {
    one(static_cast<uint32_t*>(nullptr), static_cast<at::BFloat16*>(nullptr));
  } else {
    with_type(dtype, [&](auto* element) { one(static_cast<float*>(nullptr), element); });
  }
}

}  // namespace actsweep::cpu
