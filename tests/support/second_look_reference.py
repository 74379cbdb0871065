"""What each key receives, and the largest scores, by the textbook: from whole T x T matrices, with numpy.

Definitions: docs/statistics.md, "Attention received" and "Sizes of scores".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .attention_reference import Chunk, visible
from .bounds import Reference, assert_near
from .inner_oracle import InBoth, Inner, LayerAttention

NONE = 2**32 - 1
GROUP = "attention_received"


def means_of(
    attention: LayerAttention, window: int | Chunk | None, is_causal: bool
) -> np.ndarray:
    """[H, n]: over the other queries that see a key; NaN where none does."""
    others = visible(attention, window, is_causal).copy()
    np.fill_diagonal(others, val=False)
    counts = others.sum(axis=0)
    sums = np.where(others, attention.probability, 0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def means_by_layer(
    inners: Sequence[Inner], windows: Sequence[int | Chunk | None], is_causal: bool
) -> list[list[np.ndarray]]:
    """By layer and sequence."""
    return [
        [means_of(inner.attention[layer], window, is_causal) for inner in inners]
        for layer, window in enumerate(windows)
    ]


def check_received(
    found: dict[str, np.ndarray],
    inners: InBoth,
    windows: Sequence[int | Chunk | None],
    *,
    is_causal: bool = True,
) -> float:
    """Holds the rows of all layers against the textbook's; the largest error, as a part of what is
    allowed. The embedding's are absent."""
    exact, *samples = (
        means_by_layer(of, windows, is_causal) for of in (inners.exact, *inners.samples)
    )
    parts = []
    for name, over_heads in (("token_mean", np.mean), ("token_largest_head", np.max)):
        rows, *rounded = (
            np.stack([np.concatenate([over_heads(x, axis=0) for x in layer]) for layer in by_layer])
            for by_layer in (exact, *samples)
        )
        parts.append(hold(f"{GROUP}/{name}", found, rows, rounded))
    tops, *rounded = (
        np.stack([[top_of(x) for x in layer] for layer in by_layer])
        for by_layer in (exact, *samples)
    )
    parts.append(hold(f"{GROUP}/top_mean", found, tops, rounded))
    error = np.nan_to_num(np.abs(np.array(rounded) - tops)).max()
    check_positions(found[f"{GROUP}/top_position"], exact, error)
    return max(parts)


def reference_of(exact: np.ndarray, samples: Sequence[np.ndarray]) -> Reference:
    """With the largest error of the samples."""
    return Reference(exact, np.abs(np.array(samples) - exact).max(axis=0), np.abs(exact))


def first_half(means: np.ndarray) -> np.ndarray:
    """[H, keys j < T / 2]: of the means; -1 where no query sees a key."""
    return np.nan_to_num(means[:, : (means.shape[1] + 1) // 2], nan=-1.0)


def top_of(means: np.ndarray) -> np.ndarray:
    """[H]: the largest of the first half; NaN where no query sees one of its keys."""
    largest = np.max(first_half(means), axis=1)
    return np.where(largest < 0, np.nan, largest)


def hold(
    path: str, found: dict[str, np.ndarray], exact: np.ndarray, samples: Sequence[np.ndarray]
) -> float:
    assert found[path].dtype == np.float32
    assert np.isnan(found[path][0]).all(), path
    return assert_near(path, found[path][1:], reference_of(exact, samples))


def check_positions(
    positions: np.ndarray, exact: list[list[np.ndarray]], error: float
) -> None:
    """A key that another passes by no more than rounding may stand in its place."""
    assert positions.dtype == np.uint32
    assert (positions[0] == NONE).all()
    for layer, of_layer in enumerate(exact):
        for sequence, means in enumerate(of_layer):
            half = first_half(means)
            at = positions[layer + 1, sequence].astype(int)
            if (half < 0).all():
                assert (at == NONE).all()
                continue
            assert (at < half.shape[1]).all()
            chosen = half[np.arange(len(half)), at]
            assert (half.max(axis=1) - chosen <= 4 * error + 1e-7).all(), (layer, sequence)


def seen_scores(
    attention: LayerAttention, window: int | Chunk | None, is_causal: bool
) -> np.ndarray:
    """[H, n, n]: -inf where a key is hidden."""
    return np.where(visible(attention, window, is_causal), attention.logit, -np.inf)


def check_extrema(
    found: dict[str, np.ndarray],
    inners: InBoth,
    windows: Sequence[int | Chunk | None],
    *,
    is_causal: bool = True,
) -> float:
    """Holds the fields of all layers against the textbook's; the largest error, as a part of what is
    allowed. The embedding has none."""
    layers = range(len(windows))
    exact, *samples = (
        [[seen_scores(x.attention[l], windows[l], is_causal) for x in of] for l in layers]
        for of in (inners.exact, *inners.samples)
    )
    largest, *rounded = (
        np.stack([np.max([x.max(axis=(1, 2)) for x in layer], axis=0) for layer in scores])
        for scores in (exact, *samples)
    )
    assert np.isneginf(found["scores/largest"][0]).all()
    of_largest = reference_of(largest, rounded)
    parts = [assert_near("scores/largest", found["scores/largest"][1:], of_largest)]
    check_places(found, exact, of_largest.error.max())
    for name in ("query", "key", "value"):
        norms, *rounded = (
            np.stack([np.max([norm_of(x, l, name) for x in of], axis=0) for l in layers])
            for of in (inners.exact, *inners.samples)
        )
        path = f"scores/{name}_norm"
        assert (found[path][0] == 0).all()
        parts.append(assert_near(path, found[path][1:], reference_of(norms, rounded)))
    return max(parts)


def norm_of(inner: Inner, layer: int, name: str) -> np.ndarray:
    """[heads]: the largest over a sequence's tokens."""
    return np.linalg.norm(getattr(inner.attention[layer], name), axis=2).max(axis=1)


def check_places(
    found: dict[str, np.ndarray], exact: list[list[np.ndarray]], error: float
) -> None:
    """In some sequence the pair has the largest score, but for rounding."""
    queries, keys = (found[f"scores/{name}_position"] for name in ("query", "key"))
    assert (queries[0] == -1).all() and (keys[0] == -1).all()
    for layer, sequences in enumerate(exact):
        for head in range(queries.shape[1]):
            query, key = queries[layer + 1, head], keys[layer + 1, head]
            here = [x[head, query, key] for x in sequences if query < x.shape[1] and key < x.shape[2]]
            most = max(x[head].max() for x in sequences)
            assert most - max(here) <= 4 * error + 1e-6 * abs(most), (layer, head)
