"""Arrays with named axes as long frames, columns of tokens, and quotients of sums and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..sweep import Sweep

BEFORE, BEHIND = 6, 4  # tokens of the text around one

def long_frame(axes: Mapping[str, Sequence[object]], **values: np.ndarray) -> pd.DataFrame:
    """One row per element: its place along each of `axes`, then a column for each array."""
    index = pd.MultiIndex.from_product(list(axes.values()), names=list(axes))
    frame = index.to_frame(index=False)
    shape = tuple(len(names) for names in axes.values())
    for name, array in values.items():
        frame[name] = np.broadcast_to(array, shape).reshape(-1)
    return frame


def mean_of(total: xr.DataArray | np.ndarray, count: xr.DataArray | np.ndarray) -> np.ndarray:
    """Sums over counts that broadcast to them, NaN where nothing was counted."""
    total, count = np.asarray(total, dtype=np.float64), np.asarray(count, dtype=np.float64)
    total, count = np.broadcast_arrays(total, count)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def deviation(
    total: xr.DataArray | np.ndarray, squares: xr.DataArray | np.ndarray, count: np.ndarray
) -> np.ndarray:
    """Standard deviation of the population from its sums; rounding never makes it NaN."""
    variance = mean_of(squares, count) - mean_of(total, count) ** 2
    return np.sqrt(np.clip(variance, 0, None))


def token_columns(sweep: Sweep, tokens: np.ndarray) -> dict[str, object]:
    """Columns that say which tokens, given by their numbers: text, document and position, too."""
    rows = sweep.tokens
    return {
        "token": tokens,
        "text": [repr(text) for text in sweep.decode_each(rows["id"].values[tokens])],
        "document": rows["document"].values[tokens],
        "position": rows["position"].values[tokens],
    }


def texts_around(sweep: Sweep, tokens: np.ndarray) -> list[str]:
    """Of tokens, given by their numbers: a few before each in its window, ⟦the token⟧, a few behind;
    of images the names of the tokens alone."""
    rows = sweep.tokens
    ids, sequences = rows["id"].values, rows["sequence"].values
    if not sweep.is_text:
        return list(sweep.decode_each(ids[tokens]))

    def around(token: int) -> str:
        near = np.arange(max(token - BEFORE, 0), min(token + BEHIND + 1, len(ids)))
        near = near[sequences[near] == sequences[token]]
        parts = (near[near < token], [token], near[near > token])
        before, own, behind = (sweep.decode(ids[part]) for part in parts)
        return repr(f"{before}⟦{own}⟧{behind}")

    return [around(int(token)) for token in tokens]
