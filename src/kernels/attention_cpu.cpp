// Attention on a CPU: packs each head's keys and values once, then hands its queries to the kernel
// for this machine's instruction set, a few rows at a time.
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "kernels/attention.h"
#include "kernels/attention_kernel.h"
#include "kernels/attention_packing.h"
#include "kernels/cpu_rows.h"

namespace actsweep::cpu {
namespace {

/// Tasks per thread that even out the unequal work of causal rows.
constexpr int64_t kTasksPerThread = 4;

/// One thread's work space; kept from call to call. Words are float32 or uint32_t.
struct Scratch {
  std::vector<std::byte> keys, values, query;
  std::vector<float> scores, out, key_bias, extra_value, summary;

  void reserve(const AttentionKernel& kernel, const AttentionShape& shape) {
    constexpr int64_t kWordBytes = 4;
    const int64_t panel_width = padded(shape.width, kernel.lanes);
    const int64_t words = padded(shape.positions, kernel.depths) / kernel.depths;
    keys.resize(padded(shape.positions, kernel.lanes) * shape.width / kernel.depths * kWordBytes);
    values.resize(panel_width * words * kWordBytes);
    query.resize(shape.width / kernel.depths * kernel.rows * kWordBytes);
    scores.resize(kernel.rows * kernel.score_stride);
    out.resize(kernel.rows * panel_width);
    summary.resize(kernel.rows * 3);
    extra_value.assign(panel_width, 0.0f);
    key_bias.assign(padded(shape.positions, kernel.lanes), 0.0f);
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
};

/// All tasks, those with the most keys first.
std::vector<Task> tasks_of(const AttentionShape& shape, const std::vector<HeadRun>& runs,
                           int64_t sequences, int64_t kernel_rows) {
  int64_t heads = 0;
  for (const auto& run : runs) heads += run.keys;
  const int64_t wanted = kTasksPerThread * at::get_num_threads();
  const int64_t chunks = std::clamp<int64_t>((wanted + sequences * heads - 1) / (sequences * heads),
                                             1, (shape.positions + kernel_rows - 1) / kernel_rows);
  const int64_t length = padded((shape.positions + chunks - 1) / chunks, kernel_rows);
  std::vector<Task> tasks;
  for (int64_t begin = (shape.positions - 1) / length * length; begin >= 0; begin -= length) {
    for (int64_t sequence = 0; sequence < sequences; ++sequence) {
      for (const auto& run : runs) {
        const int64_t group = run.queries / run.keys;
        for (int64_t key = 0; key < run.keys; ++key) {
          const int64_t query = run.query_begin + key * group;
          tasks.push_back({sequence, run.key_begin + key, query, query + group, begin,
                           std::min(begin + length, shape.positions)});
        }
      }
    }
  }
  return tasks;
}

/// The positions of a task's sequence without its padding, where that matters.
int64_t length_of(const Task& task, const AttentionCall& call) {
  return call.lengths.empty() ? call.shape.positions : call.lengths[task.sequence];
}

/// Where the keys end that a task's queries see.
int64_t end_of_keys(const Task& task, const AttentionCall& call) {
  if (!call.key_ends.empty())
    return call.key_ends[task.sequence * call.shape.positions + task.end - 1];
  if (call.shape.is_causal) return task.end;
  const int64_t length = length_of(task, call), window = call.shape.window;
  return window > 0 ? std::min(length, task.end - 1 + window) : length;
}

/// The summary of `count` queries from `begin` of a task's head.
void place_summary(const float* summary, const Task& task, const AttentionShape& shape,
                   int64_t head, int64_t begin, int64_t count, AttentionSummary& into) {
  auto* log_sum_exp = into.log_sum_exp.data_ptr<float>();
  auto* entropy = into.entropy.data_ptr<float>();
  for (int64_t row = 0; row < count; ++row, summary += 3) {
    const int64_t at = (task.sequence * shape.positions + begin + row) * shape.query_heads + head;
    const float log_sum = std::log(summary[1]);
    log_sum_exp[at] = summary[0] + log_sum;
    entropy[at] = log_sum - summary[2] / summary[1];
  }
}

template <typename Word, typename T>
void run_task(const Task& task, const AttentionCall& call, const T* qkv, T* out,
              const AttentionKernel& kernel, Scratch& scratch, AttentionSummary* summary) {
  const auto& shape = call.shape;
  const auto& facts = call.scores;
  const int64_t width = shape.width, out_stride = shape.query_heads * width;
  const int64_t stride = out_stride + 2 * shape.key_heads * width;
  const T* rows = qkv + task.sequence * shape.positions * stride;
  T* out_rows = out + task.sequence * shape.positions * out_stride;
  const int64_t key_at = (shape.query_heads + task.key_head) * width;
  const int64_t end = std::min(task.end, length_of(task, call));  // of the queries
  if (task.begin >= end) return;
  const int64_t seen = end_of_keys(task, call);
  const HeadRows<const T> keys = {rows + key_at, stride, seen, width};
  const HeadRows<const T> values = {keys.first + shape.key_heads * width, stride, seen, width};
  pack_keys(keys, kernel.lanes, reinterpret_cast<Word*>(scratch.keys.data()));
  pack_values(values, kernel.lanes, reinterpret_cast<Word*>(scratch.values.data()));

  // float32 queries are scaled as they are packed; bfloat16 ones would be rounded.
  constexpr bool kScalesQueries = std::is_same_v<Word, float>;
  const auto scale = static_cast<float>(facts.scale);
  HeadQueries queries = {.query = scratch.query.data(),
                         .keys = scratch.keys.data(),
                         .values = scratch.values.data(),
                         .scores = scratch.scores.data(),
                         .out = scratch.out.data(),
                         .width = width,
                         .positions = seen,
                         .window = shape.window,
                         .is_causal = shape.is_causal,
                         .last = shape.positions - 1,
                         .scale = kScalesQueries ? 1.0f : scale,
                         .cap = static_cast<float>(facts.cap),
                         .summary = summary != nullptr ? scratch.summary.data() : nullptr};
  if (!call.key_ends.empty()) {
    queries.key_ends = call.key_ends.data() + task.sequence * shape.positions;
  }
  for (int64_t head = task.query_begin; head < task.query_end; ++head) {
    if (facts.key_bias.defined()) {
      const auto* bias = facts.key_bias.const_data_ptr<float>() + head * facts.key_bias.size(1);
      std::copy_n(bias, shape.positions, scratch.key_bias.begin());
      queries.key_bias = scratch.key_bias.data();
    }
    if (facts.extra_key.defined()) {
      const auto* value = facts.extra_value.const_data_ptr<float>() + head * width;
      std::copy_n(value, width, scratch.extra_value.begin());
      queries.extra_key = facts.extra_key.const_data_ptr<float>() + head * width;
      queries.extra_value = scratch.extra_value.data();
    }
    if (facts.sinks.defined()) queries.sink = facts.sinks.const_data_ptr<float>() + head;
    for (int64_t begin = task.begin; begin < end; begin += kernel.rows) {
      const int64_t count = std::min(kernel.rows, end - begin);
      const HeadRows<const T> chunk = {rows + begin * stride + head * width, stride, count, width};
      auto* packed = reinterpret_cast<Word*>(scratch.query.data());
      pack_transposed(parts_of<Word>(chunk), kernel.rows, packed);
      if constexpr (kScalesQueries) {
        for (int64_t i = 0; i < width * kernel.rows; ++i) packed[i] *= scale;
      }
      queries.first = begin;
      kernel.attend(queries);
      if (summary != nullptr) {
        place_summary(scratch.summary.data(), task, shape, head, begin, count, *summary);
      }
      place(scratch.out.data(), padded(width, kernel.lanes),
            {out_rows + begin * out_stride + head * width, out_stride, count, width});
    }
  }
}

template <typename Word, typename T>
void run_tasks(const std::vector<Task>& tasks, const AttentionCall& call, const at::Tensor& qkv,
               const AttentionKernel& kernel, at::Tensor& out, AttentionSummary* summary) {
  const T* rows = qkv.const_data_ptr<T>();
  T* out_rows = out.data_ptr<T>();
  std::atomic<size_t> next = 0;
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    thread_local Scratch scratch;
    scratch.reserve(kernel, call.shape);
    for (size_t task = next++; task < tasks.size(); task = next++) {
      run_task<Word>(tasks[task], call, rows, out_rows, kernel, scratch, summary);
    }
  });
}

}  // namespace

std::vector<const AttentionKernel*> attention_kernels(at::ScalarType dtype, int64_t width) {
  std::vector<const AttentionKernel*> found;
#ifdef __x86_64__
  // What ATEN_CPU_CAPABILITY allows, as for ATen's own kernels.
  const auto allowed = at::get_cpu_capability();
  const bool allows_v3 = allowed != "DEFAULT", allows_v4 = allows_v3 && allowed != "AVX2";
  if (allows_v4 && __builtin_cpu_supports("x86-64-v4")) {
    const bool has_pairs = __builtin_cpu_supports("avx512bf16") && width % 2 == 0;
    if (has_pairs && dtype == at::kBFloat16) found.push_back(&kAttentionBfloat16);
    found.push_back(&kAttentionV4);
  }
  if (allows_v3 && __builtin_cpu_supports("x86-64-v3")) found.push_back(&kAttentionV3);
#endif
  found.push_back(&kAttentionBaseline);
  return found;
}

void attend(const at::Tensor& qkv, const AttentionCall& call, const AttentionKernel& kernel,
            at::Tensor& out, AttentionSummary* summary) {
  const auto& shape = call.shape;
  const auto tasks = tasks_of(shape, call.runs, qkv.size(0) / shape.positions, kernel.rows);
  if (kernel.depths == 2) {
    return run_tasks<uint32_t, at::BFloat16>(tasks, call, qkv, kernel, out, summary);
  }
  with_type(qkv.scalar_type(), [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    run_tasks<float, T>(tasks, call, qkv, kernel, out, summary);
  });
}

}  // namespace actsweep::cpu
