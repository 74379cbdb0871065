"""How named channels live through the layers (docs/statistics.md).

In: a `Sweep` with `/lifecycle`. Out: a frame by channel, kind of row and layer: means over rows of the
value and of what attention and the MLP change of it. Layers are read one at a time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .events import event_blocks

WITH_EVENT, WITHOUT = "event in the channel", "event in another"
COLUMNS = (
    "channel", "tokens", "layer", "rows", "mean", "std", "largest", "attention", "MLP",
)  # fmt: skip


def by_layer(sweep: Sweep) -> pd.DataFrame:
    """By channel, kind of token and layer: rows, mean, standard deviation and largest magnitude of
    the value, means of both updates. Tokens are those with an event in some layer: in this channel,
    or in another one alone."""
    group = sweep.group("lifecycle")
    channels = group["lifecycle_channel"].values
    has_event = _has_event(sweep, channels)
    rows = []
    for layer in range(group.sizes["layer"]):
        at = {
            name: group[name].isel(layer=layer).values.astype(np.float64)
            for name in ("value", "attention_update", "mlp_update")
        }
        for index, channel in enumerate(channels):
            for tokens, chosen in _kinds(has_event[:, index]):
                columns = [values[chosen, index] for values in at.values()]
                rows.append((int(channel), tokens, layer, chosen.sum(), *_moments(*columns)))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.sort_values(["channel", "tokens", "layer"], ignore_index=True)


def _kinds(has_event: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Those kinds of rows of which there are any."""
    kinds = ((WITH_EVENT, has_event), (WITHOUT, ~has_event))
    return [(name, chosen) for name, chosen in kinds if chosen.any()]


def _moments(value: np.ndarray, attention: np.ndarray, mlp: np.ndarray) -> tuple[float, ...]:
    return value.mean(), value.std(), np.abs(value).max(), attention.mean(), mlp.mean()


def _has_event(sweep: Sweep, channels: np.ndarray) -> np.ndarray:
    """[row, channel]: whether the row's token has an event in the channel, in some layer."""
    kept = sweep.tokens["row_token"].values
    found = np.zeros((len(kept), len(channels)), bool)
    for block in event_blocks(sweep, ("token", "channel")):
        for index, channel in enumerate(channels):
            tokens = block["token"][block["channel"] == channel]
            found[np.searchsorted(kept, tokens), index] = True
    return found
