// Attention on a CPU: packs each head's keys and values once, then hands its queries to the kernel
// for this machine's instruction set, a few rows at a time.
#include <ATen/Version.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "kernels/attention_tasks.h"

namespace actsweep::cpu {
namespace {

/// The positions of a task's sequence without its padding, where that matters.
int64_t length_of(const Task& task, const AttentionCall& call) {
  return call.lengths.empty() ? call.shape.positions : call.lengths[task.sequence];
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
  const int64_t width = shape.width, out_stride = shape.query_heads * width;
  const int64_t length = length_of(task, call);
  const int64_t end = std::min(task.end, length);  // of the queries
  if (task.begin >= end) return;
  const TaskRows<T> rows(qkv, task, shape);
  T* out_rows = out + task.sequence * shape.positions * out_stride;
  const int64_t seen = end_of_keys(call, task.sequence, length, task.end);
  pack_keys(rows.keys(task, seen), kernel.lanes, scratch.words<Word>(scratch.keys));
  pack_values(rows.values(task, seen), kernel.lanes, scratch.words<Word>(scratch.values));
  auto queries = common_queries(call, task, kernel, seen, scratch);
  if (summary != nullptr) queries.summary = scratch.summary.data();
  for (int64_t head = task.query_begin; head < task.query_end; ++head) {
    set_head(call, head, queries, scratch);
    for (int64_t begin = task.begin; begin < end; begin += kernel.rows) {
      const int64_t count = std::min(kernel.rows, end - begin);
      pack_queries<Word>(rows.head(head, begin, count), call, kernel, scratch);
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
  const int64_t sequences = qkv.size(0) / shape.positions;
  const auto tasks = tasks_of(call, sequences, even_length(call, sequences, kernel.rows));
  with_words(kernel, qkv.scalar_type(), [&](auto* word, auto* element) {
    using Word = std::remove_pointer_t<decltype(word)>;
    using T = std::remove_pointer_t<decltype(element)>;
    over_tasks(tasks, kernel, shape, [&](const Task& task, Scratch& scratch) {
      run_task<Word>(task, call, qkv.const_data_ptr<T>(), out.data_ptr<T>(), kernel, scratch,
                     summary);
    });
  });
}

}  // namespace actsweep::cpu
