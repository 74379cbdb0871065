#include "probe/token_matches.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace actsweep {
namespace {

constexpr int64_t kTileBytes = 16ll << 20;

/// [n] float32 on the host: each row's largest magnitude in the channels; -1 where a value of the
/// row is not finite.
at::Tensor largest_magnitudes(const at::Tensor& rows, const at::Tensor& channels) {
  std::vector<at::Tensor> tiles;
  for (const auto& tile : rows.split(tile_rows(rows))) {
    const auto chosen = channels.defined() ? tile.index_select(1, channels) : tile;
    const auto largest = chosen.abs().amax(1);
    tiles.push_back(largest.masked_fill(at::isfinite(tile).all(1).logical_not(), -1));
  }
  return at::cat(tiles).cpu();
}

/// All matches of a sequence, or its first.
std::vector<TokenMatch> match_each(const OwnedRows& labels, const TokenSelector& selector) {
  std::vector<TokenMatch> found;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * labels.padded_length;
    int64_t ordinal = 0;
    for (int64_t p = 0; p < labels.windows[i].length(); ++p) {
      const int64_t row = first + p;
      if (!selector.matches(p, labels.token_class[row])) continue;
      found.push_back({row, labels.windows[i].sequence, p, labels.token_class[row], ordinal++});
      if (selector.is_single()) break;
    }
  }
  return found;
}

std::vector<TokenMatch> match_argmax(const OwnedRows& labels, const at::Tensor& magnitudes) {
  const float* magnitude = magnitudes.const_data_ptr<float>();
  std::vector<TokenMatch> found;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * labels.padded_length;
    int64_t best = first;
    for (int64_t row = first; row < first + labels.windows[i].length(); ++row) {
      if (magnitude[row] > magnitude[best]) best = row;
    }
    if (magnitude[best] < 0) continue;
    found.push_back({best, labels.windows[i].sequence, best - first, labels.token_class[best], 0});
  }
  return found;
}

}  // namespace

int64_t tile_rows(const at::Tensor& rows) {
  return std::max<int64_t>(1, kTileBytes / (rows.size(1) * rows.element_size()));
}

std::vector<TokenMatch> match_tokens(const TokenSelector& selector, const OwnedRows& labels,
                                     const at::Tensor& rows, const at::Tensor& channels) {
  if (selector.kind != TokenSelector::Kind::kArgmax) return match_each(labels, selector);
  return match_argmax(labels, largest_magnitudes(rows, channels));
}

}  // namespace actsweep
