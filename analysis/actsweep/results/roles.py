"""Activations by whose words a token of a chat holds: the template's, or those of a role.

In: a `Sweep` whose job has `classes = "role"`. Out: frames by role, the tokens at position 0 and those at
every other position apart: the first token of a window is massive whoever speaks. Reads the sums of one
layer at a time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..moments import ROLES
from ..sweep import Sweep
from .constancy import REST, START
from .events import events_by
from .frames import deviation, mean_of

PLACES = {"position 0": slice(START, START + 1), REST: slice(START + 1, None)}  # classes


def sizes(sweep: Sweep) -> pd.DataFrame:
    """By layer and role: tokens, and the root of the mean square over them and the channels."""
    rows = []
    for layer in range(sweep.residual.sizes["layer"]):
        site = sweep.residual.isel(layer=layer)
        count = site["role_count"].values  # [role, class]
        squares = site["role_sum_square"].values.sum(axis=-1)
        for role, name in enumerate(ROLES):
            for tokens, classes in PLACES.items():
                n = count[role, classes].sum()
                values = n * site.sizes["channel"]
                rms = np.sqrt(mean_of(squares[role, classes].sum(), values)).item()
                rows.append(
                    {"layer": layer, "role": name, "tokens": tokens, "count": int(n), "RMS": rms}
                )
    frame = pd.DataFrame(rows)
    return frame[frame["count"] > 0].reset_index(drop=True)


def constancy(sweep: Sweep) -> pd.DataFrame:
    """By layer and channel with events: the value over all tokens of each role."""
    pairs = events_by(sweep, ["layer", "channel"]).groupby("layer")["channel"].unique()
    rows = [
        row
        for layer, channels in pairs.items()
        for row in _of_layer(sweep, int(layer), np.sort(channels.astype(np.int64)))
    ]
    columns = ("layer", "channel", "role", "tokens", "count", "mean", "std", "CV")
    return pd.DataFrame(rows, columns=columns)


def _of_layer(sweep: Sweep, layer: int, channels: np.ndarray) -> list[dict[str, object]]:
    site = sweep.residual.isel(layer=layer)
    count = site["role_count"].values  # [role, class]
    total = site["role_sum"].values[..., channels]  # [role, class, channel]
    squares = site["role_sum_square"].values[..., channels]
    rows = []
    for place, channel in enumerate(channels):
        for role, name in enumerate(ROLES):
            for tokens, classes in PLACES.items():
                n = count[role, classes].sum()
                if n == 0:
                    continue
                sums = (of[role, classes, place].sum() for of in (total, squares))
                mean, std = _moments(*sums, n)
                cv = std / abs(mean) if mean else np.nan
                rows.append(
                    {"layer": layer, "channel": int(channel), "role": name, "tokens": tokens,
                     "count": int(n), "mean": mean, "std": std, "CV": cv}
                )  # fmt: skip
    return rows


def _moments(total: float, square: float, count: int) -> tuple[float, float]:
    return mean_of(total, count).item(), deviation(total, square, count).item()
