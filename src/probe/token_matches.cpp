#include "probe/token_matches.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

#include "corpus/kind.h"

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

/// Whether the token in a row, at a position of a window, matches.
using Predicate = std::function<bool(int64_t row, int64_t position)>;

/// All matches of a sequence, or its first.
std::vector<TokenMatch> match_each(const OwnedRows& labels, bool only_first,
                                   const Predicate& matches) {
  std::vector<TokenMatch> found;
  for (size_t i = 0; i < labels.windows.size(); ++i) {
    const auto first = static_cast<int64_t>(i) * labels.padded_length;
    int64_t ordinal = 0;
    for (int64_t p = 0; p < labels.windows[i].length(); ++p) {
      const int64_t row = first + p;
      if (!matches(row, p)) continue;
      found.push_back({row, labels.windows[i].sequence, labels.token_class[row], ordinal++});
      if (only_first) break;
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
    found.push_back({best, labels.windows[i].sequence, labels.token_class[best], 0});
  }
  return found;
}

}  // namespace

int64_t tile_rows(const at::Tensor& rows) {
  return std::max<int64_t>(1, kTileBytes / (rows.size(1) * rows.element_size()));
}

std::vector<TokenMatch> match_tokens(const TokenSelector& selector, const OwnedRows& labels,
                                     const at::Tensor& rows, const at::Tensor& channels) {
  using Kind = TokenSelector::Kind;
  const auto has_class = [&](uint8_t wanted) {
    return [&labels, wanted](int64_t row, int64_t) { return labels.token_class[row] == wanted; };
  };
  switch (selector.kind) {
    case Kind::kPosition:
      return match_each(labels, true, [&](int64_t, int64_t p) { return p == selector.position; });
    case Kind::kFirstOfClass:
      return match_each(labels, true, has_class(selector.token_class));
    case Kind::kRegisters:
      return match_each(labels, false, has_class(kRegisterClass));
    case Kind::kAll:
      return match_each(labels, false, [](int64_t, int64_t) { return true; });
    case Kind::kArgmax:
      break;
  }
  return match_argmax(labels, largest_magnitudes(rows, channels));
}

}  // namespace actsweep
