// The second look on a CPU, by the kernels of attention: each task packs the keys that its queries
// see, and multiplies again.
#include <ATen/ATen.h>

#include <algorithm>
#include <type_traits>

#include "kernels/attention_tasks.h"
#include "kernels/second_look.h"

namespace actsweep::cpu {
namespace {

/// Queries of a task, and the most chunks of them: each has room for what all keys receive.
constexpr int64_t kTaskQueries = 240, kMostChunks = 16;

/// What the tasks of each chunk find, side by side: they are joined in the order of the chunks.
struct Found {
  at::Tensor received;       // [chunks, S, H, T padded] float32
  at::Tensor largest;        // [chunks, S, H] float32
  at::Tensor largest_query;  // [chunks, S, H] int64
  at::Tensor largest_key;
  int64_t stride = 0;  // T padded

  float* received_by(const Task& task, int64_t head) const {
    return received.defined() ? received.select(0, task.chunk)
                                    .select(0, task.sequence)
                                    .select(0, head)
                                    .data_ptr<float>()
                              : nullptr;
  }
  void keep_largest(const Task& task, int64_t head, int64_t query, float score, int64_t key) const {
    const int64_t at = (task.chunk * largest.size(1) + task.sequence) * largest.size(2) + head;
    if (!(score > largest.data_ptr<float>()[at])) return;
    largest.data_ptr<float>()[at] = score;
    largest_query.data_ptr<int64_t>()[at] = query;
    largest_key.data_ptr<int64_t>()[at] = key;
  }
};

Found room_for(const ScoreSummary& summary, const AttentionShape& shape, int64_t sequences,
               int64_t chunks) {
  Found found;
  found.stride = padded(shape.positions, kMostLanes);
  const auto floats = at::TensorOptions().dtype(at::kFloat);
  if (summary.received.defined()) {
    found.received = at::zeros({chunks, sequences, shape.query_heads, found.stride}, floats);
  }
  if (summary.largest.defined()) {
    found.largest = summary.largest.unsqueeze(0).repeat({chunks, 1, 1});
    found.largest_query = summary.largest_query.unsqueeze(0).repeat({chunks, 1, 1});
    found.largest_key = found.largest_query.clone();
  }
  return found;
}

/// The log-sum-exp, the largest score and its key of the queries of one call.
struct CallRows {
  std::vector<float> log_sum_exp, largest;
  std::vector<int32_t> largest_key;

  explicit CallRows(int64_t rows) : log_sum_exp(rows), largest(rows), largest_key(rows) {}
};

template <typename Word, typename T>
void run_task(const Task& task, const AttentionCall& call, const T* qkv, const float* log_sum_exp,
              int64_t length, const AttentionKernel& kernel, Scratch& scratch, const Found& found) {
  const auto& shape = call.shape;
  const int64_t end = std::min(task.end, length);  // of the queries
  if (task.begin >= end) return;
  const TaskRows<T> rows(qkv, task, shape);
  const int64_t seen = end_of_keys(call, task.sequence, length, end);
  pack_keys(rows.keys(task, seen), kernel.lanes, scratch.words<Word>(scratch.keys));
  auto queries = common_queries(call, task, kernel, seen, scratch);
  CallRows of_call(kernel.rows);
  SecondLook look = {.log_sum_exp = of_call.log_sum_exp.data()};
  if (found.largest.defined()) {
    look.largest = of_call.largest.data();
    look.largest_key = of_call.largest_key.data();
  }
  for (int64_t head = task.query_begin; head < task.query_end; ++head) {
    set_head(call, head, queries, scratch);
    look.received = found.received_by(task, head);
    for (int64_t begin = task.begin; begin < end; begin += kernel.rows) {
      look.queries = std::min(kernel.rows, end - begin);
      pack_queries<Word>(rows.head(head, begin, look.queries), call, kernel, scratch);
      queries.first = begin;
      const int64_t first = task.sequence * shape.positions + begin;
      for (int64_t row = 0; row < look.queries; ++row) {
        of_call.log_sum_exp[row] = log_sum_exp[(first + row) * shape.query_heads + head];
      }
      kernel.look_again(queries, look);
      for (int64_t row = 0; look.largest != nullptr && row < look.queries; ++row) {
        found.keep_largest(task, head, begin + row, look.largest[row], look.largest_key[row]);
      }
    }
  }
}

}  // namespace

void look_again(const at::Tensor& qkv, const AttentionCall& call, const AttentionKernel& kernel,
                const at::Tensor& log_sum_exp, const std::vector<int64_t>& lengths,
                ScoreSummary& summary) {
  const auto& shape = call.shape;
  const auto sequences = static_cast<int64_t>(lengths.size());
  const int64_t wanted = look_chunks(shape.positions);
  const auto tasks =
      tasks_of(call, sequences, padded((shape.positions + wanted - 1) / wanted, kernel.rows));
  const int64_t chunks = tasks.empty() ? 0 : tasks.front().chunk + 1;
  const auto found = room_for(summary, shape, sequences, chunks);
  with_words(kernel, qkv.scalar_type(), [&](auto* word, auto* element) {
    using Word = std::remove_pointer_t<decltype(word)>;
    using T = std::remove_pointer_t<decltype(element)>;
    over_tasks(tasks, kernel, shape, [&](const Task& task, Scratch& scratch) {
      run_task<Word>(task, call, qkv.const_data_ptr<T>(), log_sum_exp.const_data_ptr<float>(),
                     lengths[task.sequence], kernel, scratch, found);
    });
  });
  if (found.received.defined()) {
    summary.received.add_(found.received.narrow(3, 0, shape.positions).sum(0));
  }
  for (int64_t chunk = 0; found.largest.defined() && chunk < chunks; ++chunk) {
    keep_larger(summary,
                {{}, found.largest[chunk], found.largest_query[chunk], found.largest_key[chunk]});
  }
}

}  // namespace actsweep::cpu

namespace actsweep {

int64_t look_chunks(int64_t positions) {
  const int64_t chunks = (positions + cpu::kTaskQueries - 1) / cpu::kTaskQueries;
  return std::clamp<int64_t>(chunks, 1, cpu::kMostChunks);
}

}  // namespace actsweep
