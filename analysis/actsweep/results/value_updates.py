"""How constant the update is that attention to a set of keys adds to each query.

In: a `Sweep` with `/value_update`. Out: frames by layer, set and selection (the set itself, and a
random one of equal size). Constancy is √(Σ‖u‖²/n − ‖Σu/n‖²) / ‖Σu/n‖: the spread of the updates u
around their mean over the mean's norm, 0 where every query gets the same
(arXiv 2402.17762, section 4.2).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .frames import long_frame, mean_of

SELECTIONS = ("the set", "random tokens")


def constancy_of(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """`count` and `squares` [...], `total` [..., C] with the sums of updates: the spread [...]."""
    mean_norm = np.linalg.norm(mean_of(total, count[..., None]), axis=-1)
    spread = np.sqrt(np.clip(mean_of(squares, count) - mean_norm**2, 0, None))
    return np.divide(spread, mean_norm, out=np.full(spread.shape, np.nan), where=mean_norm > 0)


def after_projection(sweep: Sweep) -> pd.DataFrame:
    """By set, selection and layer: constancy, and the share of the attention output's norm."""
    group = sweep.group("value_update")
    count = group["query_count"].values  # [layer, selection, key_set]
    frame = long_frame(
        _axes(sweep),
        constancy=constancy_of(count, group["sum"].values, group["square_sum"].values),
        share=mean_of(group["share_sum"], count),
        queries=count,
    )
    return _counted(frame)


def by_head(sweep: Sweep) -> pd.DataFrame:
    """By set, selection, layer and head: constancy of a head's update, before the projection."""
    group = sweep.group("value_update")
    count = group["query_count"].values[..., None]  # [layer, selection, key_set, 1]
    squares = group["head_square_sum"].values
    count = np.broadcast_to(count, squares.shape)
    parts = []
    for layer in range(group.sizes["layer"]):
        total = group["head_sum"].isel(layer=layer).values
        parts.append(constancy_of(count[layer], total, squares[layer]))
    axes = _axes(sweep) | {"head": range(group.sizes["head"])}
    return _counted(long_frame(axes, constancy=np.stack(parts), queries=count))


def _axes(sweep: Sweep) -> dict[str, object]:
    layers = sweep.group("value_update").sizes["layer"]
    return {"layer": range(layers), "updates": SELECTIONS, "key set": sweep.names("key_sets")}


def _counted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["queries"] > 0].reset_index(drop=True)
