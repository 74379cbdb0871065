#include "weights/part_values.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace actsweep {
namespace {

/// Elements that are widened between two conversions.
constexpr int64_t kWidenedElements = 1 << 20;

/// Units that stand at equal distances.
struct UnitRun {
  int64_t first = 0;  // in the stored axis
  int64_t step = 1;
  int64_t count = 0;
};

/// Units stand at equal distances, or in groups: one run, or one for each group.
std::vector<UnitRun> unit_runs(const PartPlace& part) {
  const auto& order = part.row.order;
  const bool is_even = order.per_group == 1;
  std::vector<UnitRun> runs;
  for (int64_t unit = part.units.begin; unit < part.units.end;) {
    const int64_t left = part.units.end - unit;
    const int64_t count = is_even ? left : std::min(left, order.per_group - unit % order.per_group);
    runs.push_back({order.place(unit), is_even ? order.group_stride : 1, count});
    unit += count;
  }
  return runs;
}

/// The units of a run along the cut axis of the weight, `done` of the part being there.
at::Tensor target_of(const PartPlace& part, const at::Tensor& weight, const UnitRun& run,
                     int64_t done) {
  const auto& row = part.row;
  const int64_t first = row.cut_axis == 0 ? part.first_row : 0;
  return weight.narrow(row.cut_axis, first + done * row.unit, run.count * row.unit);
}

/// The part of a stored tensor that a row names, whole, in the weight's order of axes.
at::Tensor whole_part(const TensorRow& row, const StoredTensor& stored) {
  auto tensor = mapped_tensor(stored);
  if (row.joined > 0) tensor = tensor.unflatten(0, {row.joined, -1});
  if (row.is_stacked) tensor = tensor.select(0, row.only_unit);
  if (tensor.dim() == 0) tensor = tensor.view({1});
  return row.is_transposed ? tensor.t() : tensor;
}

void copy_run(const PartPlace& part, const StoredTensor& stored, const UnitRun& run,
              const at::Tensor& target) {
  const int axis = part.row.cut_axis;
  const auto source = whole_part(part.row, stored).unflatten(axis, {-1, part.row.unit});
  const int64_t end = run.first + (run.count - 1) * run.step + 1;
  target.unflatten(axis, {-1, part.row.unit}).copy_(source.slice(axis, run.first, end, run.step));
}

/// Rows of a packed weight: those of units at equal distances, below `above` others.
struct RowRun {
  UnitRun units;
  int64_t unit = 1;  // rows
  int64_t above = 0;

  int64_t size() const { return units.count * unit; }
  int64_t operator[](int64_t i) const {
    return above + (units.first + i / unit * units.step) * unit + i % unit;
  }
};

/// Columns of these rows as numbers of the target's dtype.
void widen_rows(const PackedWeight& packed, const RowRun& rows, Share columns,
                const at::Tensor& target) {
  const int64_t most =
      std::max<int64_t>(1, kWidenedElements / std::max<int64_t>(1, columns.size()));
  const auto values = at::empty({std::min(most, rows.size()), columns.size()}, at::kFloat);
  for (int64_t first = 0; first < rows.size(); first += most) {
    const int64_t count = std::min(most, rows.size() - first);
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        packed.widen(rows[first + i], columns.begin, columns.end,
                     values.data_ptr<float>() + i * columns.size());
      }
    });
    target.narrow(0, first, count).copy_(values.narrow(0, 0, count));
  }
}

/// Rows above those of the part's own matrix, where several are stacked.
int64_t rows_above(const TensorRow& row) {
  return row.is_stacked ? row.only_unit * row.whole_shape()[0] : 0;
}

void widen_run(const PartPlace& part, const PackedWeight& packed, const UnitRun& run,
               const at::Tensor& target) {
  const auto& row = part.row;
  const int64_t unit = row.unit, above = rows_above(row);
  if (row.cut_axis == 0) {
    return widen_rows(packed, {run, unit, above}, {0, packed.columns}, target);
  }
  const RowRun all = {{0, 1, row.whole_shape()[0]}, 1, above};
  const int64_t together = run.step == 1 ? run.count : 1;  // units in one run of columns
  for (int64_t done = 0; done < run.count; done += together) {
    const int64_t first = (run.first + done * run.step) * unit;
    widen_rows(packed, all, {first, first + together * unit},
               target.narrow(1, done * unit, together * unit));
  }
}

/// Rows that are cut out of the middle whole; columns need all rows.
void read_ahead(const PartPlace& part, const StoredTensor& stored) {
  if (stored.shape.empty() || stored.shape[0] == 0) return;
  const auto& row = part.row;
  const int64_t slice_bytes = stored.bytes / (row.joined > 0 ? row.joined : stored.shape[0]);
  if (row.is_stacked) {
    stored.file->read_ahead(stored.offset + row.only_unit * slice_bytes, slice_bytes);
    return;
  }
  const bool is_one_run = row.cut_axis == 0 && !row.is_transposed && row.order.group_stride == 1;
  if (!is_one_run) return stored.file->read_ahead(stored.offset, stored.bytes);
  const int64_t first = row.order.place(part.units.begin) * row.unit;
  stored.file->read_ahead(stored.offset + first * slice_bytes,
                          part.units.size() * row.unit * slice_bytes);
}

void read_ahead(const PartPlace& part, const PackedWeight& packed) {
  const auto& row = part.row;
  const int64_t above = rows_above(row), all = row.whole_shape()[0];
  const bool is_one_run = row.cut_axis == 0 && row.order.group_stride == 1;
  const int64_t first = is_one_run ? row.order.place(part.units.begin) * row.unit : 0;
  packed.read_ahead(above + first,
                    above + (is_one_run ? first + part.units.size() * row.unit : all));
}

}  // namespace

void read_part_ahead(const Checkpoint& checkpoint, const PartPlace& part, int64_t layer) {
  if (part.units.size() == 0 || part.row.constant) return;
  const auto* packed = checkpoint.packed(part.row, layer);
  if (packed != nullptr) return read_ahead(part, *packed);
  read_ahead(part, checkpoint.tensor(part.row, layer));
}

void load_part(const Checkpoint& checkpoint, const PartPlace& part, int64_t layer,
               const at::Tensor& weight) {
  if (const auto constant = part.row.constant) {
    weight.narrow(0, part.first_row, part.units.size() * part.row.unit).fill_(*constant);
    return;
  }
  const auto* packed = checkpoint.packed(part.row, layer);
  int64_t done = 0;
  for (const auto& run : unit_runs(part)) {
    const auto target = target_of(part, weight, run, done);
    if (packed != nullptr) {
      widen_run(part, *packed, run, target);
    } else {
      copy_run(part, checkpoint.tensor(part.row, layer), run, target);
    }
    done += run.count;
  }
}

}  // namespace actsweep
