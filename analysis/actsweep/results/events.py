"""The table of massive activations, added up by chosen columns.

In: a `Sweep`. Out: frames of counts and moments. Events are read in blocks, so that their number is
not limited by memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ..findings import EVENTS_PER_READ
from ..sweep import Sweep

SEQUENCE_READING, TOKEN_READING = 1, 2
ANY_READING = SEQUENCE_READING | TOKEN_READING


def events_by(sweep: Sweep, keys: Sequence[str], reading: int = ANY_READING) -> pd.DataFrame:
    """Events grouped by the columns `keys` of `/massive`, in rising order of the keys.

    `reading`: bits of the readings of which an event passes at least one. Columns: the keys,
    `events`, `mean` and `std` of the signed value, and its `largest` magnitude.
    """
    columns = list(dict.fromkeys([*keys, "value", "reading"]))
    parts = [_sums(block, keys, reading) for block in event_blocks(sweep, columns)]
    sums = pd.concat(parts).groupby(list(keys), as_index=False)
    total = sums.agg(
        events=("events", "sum"),
        sum=("sum", "sum"),
        square=("square", "sum"),
        largest=("largest", "max"),
    )
    mean = total["sum"] / total["events"]
    variance = (total["square"] / total["events"] - mean**2).clip(lower=0)
    return total[list(keys)].assign(
        events=total["events"], mean=mean, std=np.sqrt(variance), largest=total["largest"]
    )


def event_blocks(sweep: Sweep, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Columns of `/massive`, a block of events at a time."""
    massive = sweep.massive[list(columns)]
    # An empty table is one empty block: its frame still has the columns.
    for start in range(0, max(massive.sizes["event"], 1), EVENTS_PER_READ):
        block = massive.isel(event=slice(start, start + EVENTS_PER_READ))
        yield pd.DataFrame({name: block[name].values for name in columns})


def _sums(block: pd.DataFrame, keys: Sequence[str], reading: int) -> pd.DataFrame:
    block = block[(block["reading"].astype(int) & reading) > 0]
    value = block["value"].astype(np.float64)
    wide = block[list(keys)].assign(sum=value, square=value**2, largest=value.abs(), events=1)
    return wide.groupby(list(keys), as_index=False).agg(
        events=("events", "sum"),
        sum=("sum", "sum"),
        square=("square", "sum"),
        largest=("largest", "max"),
    )
