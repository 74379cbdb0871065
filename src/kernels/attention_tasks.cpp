#include "kernels/attention_tasks.h"

namespace actsweep::cpu {
namespace {

/// Tasks per thread that even out the unequal work of causal rows.
constexpr int64_t kTasksPerThread = 4;

}  // namespace

void Scratch::reserve(const AttentionKernel& kernel, const AttentionShape& shape) {
  constexpr int64_t kWordBytes = 4;
  const int64_t panel_width = padded(shape.width, kernel.lanes);
  const int64_t value_words = padded(shape.positions, kernel.depths) / kernel.depths;
  keys.resize(padded(shape.positions, kernel.lanes) * shape.width / kernel.depths * kWordBytes);
  values.resize(panel_width * value_words * kWordBytes);
  query.resize(shape.width / kernel.depths * kernel.rows * kWordBytes);
  scores.resize(kernel.rows * kernel.score_stride);
  out.resize(kernel.rows * panel_width);
  summary.resize(kernel.rows * 3);
  extra_value.assign(panel_width, 0.0f);
  key_bias.assign(padded(shape.positions, kernel.lanes), 0.0f);
}

int64_t even_length(const AttentionCall& call, int64_t sequences, int64_t kernel_rows) {
  const int64_t positions = call.shape.positions;
  int64_t heads = 0;
  for (const auto& run : call.runs) heads += run.keys;
  const int64_t wanted = kTasksPerThread * at::get_num_threads();
  const int64_t chunks = std::clamp<int64_t>((wanted + sequences * heads - 1) / (sequences * heads),
                                             1, (positions + kernel_rows - 1) / kernel_rows);
  return padded((positions + chunks - 1) / chunks, kernel_rows);
}

std::vector<Task> tasks_of(const AttentionCall& call, int64_t sequences, int64_t length) {
  const int64_t positions = call.shape.positions;
  std::vector<Task> tasks;
  for (int64_t begin = (positions - 1) / length * length; begin >= 0; begin -= length) {
    const int64_t end = std::min(begin + length, positions);
    for (int64_t sequence = 0; sequence < sequences; ++sequence) {
      for (const auto& run : call.runs) {
        const int64_t group = run.queries / run.keys;
        for (int64_t key = 0; key < run.keys; ++key) {
          const int64_t query = run.query_begin + key * group;
          tasks.push_back(
              {sequence, run.key_begin + key, query, query + group, begin, end, begin / length});
        }
      }
    }
  }
  return tasks;
}

int64_t end_of_keys(const AttentionCall& call, int64_t sequence, int64_t length, int64_t end) {
  const auto& shape = call.shape;
  if (!call.key_ends.empty()) return call.key_ends[sequence * shape.positions + end - 1];
  if (shape.is_causal) return end;
  return shape.window > 0 ? std::min(length, end - 1 + shape.window) : length;
}

HeadQueries common_queries(const AttentionCall& call, const Task& task,
                           const AttentionKernel& kernel, int64_t seen, Scratch& scratch) {
  const int64_t positions = call.shape.positions;
  const int64_t* key_ends =
      call.key_ends.empty() ? nullptr : call.key_ends.data() + task.sequence * positions;
  return {.query = scratch.query.data(),
          .keys = scratch.keys.data(),
          .values = scratch.values.data(),
          .scores = scratch.scores.data(),
          .out = scratch.out.data(),
          .width = call.shape.width,
          .positions = seen,
          .window = call.shape.window,
          .is_causal = call.shape.is_causal,
          .key_ends = key_ends,
          .last = positions - 1,
          .scale = kernel.depths == 1 ? 1.0f : static_cast<float>(call.scores.scale),
          .cap = static_cast<float>(call.scores.cap)};
}

void set_head(const AttentionCall& call, int64_t head, HeadQueries& queries, Scratch& scratch) {
  const auto& facts = call.scores;
  const int64_t width = call.shape.width;
  if (facts.key_bias.defined()) {
    const auto* bias = facts.key_bias.const_data_ptr<float>() + head * facts.key_bias.size(1);
    std::copy_n(bias, call.shape.positions, scratch.key_bias.begin());
    queries.key_bias = scratch.key_bias.data();
  }
  if (facts.extra_key.defined()) {
    const auto* value = facts.extra_value.const_data_ptr<float>() + head * width;
    std::copy_n(value, width, scratch.extra_value.begin());
    queries.extra_key = facts.extra_key.const_data_ptr<float>() + head * width;
    queries.extra_value = scratch.extra_value.data();
  }
  if (facts.sinks.defined()) queries.sink = facts.sinks.const_data_ptr<float>() + head;
}

}  // namespace actsweep::cpu
