#include "run/stored_rows.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "kernels/bfloat16_rows.h"
#include "schema/declare_statistics.h"

namespace actsweep {
namespace {

constexpr int64_t kNotStored = -1;

std::string path_of(Site site) { return std::string("store/") + name_of(site); }

}  // namespace

StoredRows::StoredRows(const SweepInputs& inputs, SegmentOutput& output)
    : inputs_(inputs),
      output_(output),
      sample_(sample_of(inputs.job.store)),
      layers_(stored_layers(inputs.job.store, inputs.checkpoint.architecture().layers)) {}

void StoredRows::begin_block(const BlockLabels& labels) {
  labels_ = &labels;
  kept_.clear();
  choose();
  if (!sample_.is_known()) return;
  const auto count = static_cast<int64_t>(tokens_.size());
  output_.write("store/token", {labels.before.stored}, {count}, at::tensor(tokens_));
}

/// The tokens of the sample, or all where it is not known yet.
void StoredRows::choose() {
  chosen_.clear();
  tokens_.clear();
  for (const auto& own : labels_->own) {
    const int64_t before = static_cast<int64_t>(tokens_.size());
    std::vector<int64_t> rows;
    for (size_t i = 0; i < own.windows.size(); ++i) {
      const auto& window = own.windows[i];
      const int64_t first = static_cast<int64_t>(i) * own.padded_length;
      for (int64_t position = 0; position < window.length(); ++position) {
        const int64_t token = window.first_token + position;
        if (sample_.is_known() && !sample_.has(token)) continue;
        rows.push_back(first + position);
        tokens_.push_back(token);
      }
    }
    chosen_.push_back({at::tensor(rows, at::kLong), labels_->before.stored + before});
  }
}

/// Where the tap's layer lies in the file, or kNotStored.
int64_t StoredRows::place_of(const Tap& tap) const {
  if (!inputs_.job.stores(tap.site)) return kNotStored;
  if (tap.site == Site::kFinalNorm) return 0;
  const auto layer = std::find(layers_.begin(), layers_.end(), tap.layer);
  return layer == layers_.end() ? kNotStored : layer - layers_.begin();
}

/// Some rows of the tap as they are stored, on the host; NaN where the layer lacks the site.
at::Tensor StoredRows::taken(const Tap& tap, const at::Tensor& rows) const {
  at::Tensor values;
  if (tap.rows.defined()) {
    values = tap.rows.index_select(0, rows.to(tap.rows.device())).to(at::kCPU);
  } else {
    const auto width = value_width_of(inputs_.checkpoint.architecture());
    const int64_t channels = axis_length(inputs_.facts(), group_of(tap.site, width).channel);
    values =
        at::full({rows.size(0), channels}, std::numeric_limits<float>::quiet_NaN(), at::kFloat);
  }
  return inputs_.job.store.dtype == Dtype::kBFloat16 ? to_bfloat16(values) : values;
}

void StoredRows::see(const Tap& tap) {
  const int64_t place = place_of(tap);
  if (place == kNotStored) return;
  const auto& chosen = chosen_[&tap.labels - labels_->own.data()];
  const auto values = taken(tap, chosen.rows);
  if (sample_.is_known()) {
    output_.write(path_of(tap.site), {chosen.first, place, 0}, {values.size(0), 1, values.size(1)},
                  values);
  } else {
    auto& by_layer = kept_[tap.site].by_layer;
    by_layer.resize(tap.site == Site::kFinalNorm ? 1 : layers_.size());
    by_layer[place].push_back(values);
  }
}

/// The rows of some tokens of the block, [tokens, layers, C]. Lets go of what was kept.
at::Tensor StoredRows::selected(Kept& kept, const at::Tensor& tokens) const {
  const auto& some = kept.by_layer.front().front();
  const auto layers = static_cast<int64_t>(kept.by_layer.size());
  auto rows = at::empty({tokens.size(0), layers, some.size(1)}, some.options());
  for (int64_t place = 0; place < layers; ++place) {
    const auto layer = at::cat(std::exchange(kept.by_layer[place], {}));
    rows.select(1, place).copy_(layer.index_select(0, tokens));
  }
  return rows;
}

void StoredRows::end_block(std::span<const Event> events) {
  if (sample_.is_known()) return;
  const auto index = at::tensor(tokens_with_event(*labels_, events), at::kLong);
  const int64_t count = index.size(0);
  output_.append("store/token", count, at::tensor(tokens_).index_select(0, index));
  for (auto& [site, kept] : kept_) {
    output_.append(path_of(site), count, selected(kept, index));
  }
}

}  // namespace actsweep
