"""What counts as massive, and which channels of a file are.

In: magnitudes and a median, or the events of a file. Out: the activations that pass, and a table by
channel. Events are read in blocks, so that their number is not limited by memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

EVENTS_PER_READ = 1 << 20


@dataclass(frozen=True)
class Criterion:
    """A massive activation has |x| > magnitude and |x| >= ratio × a median (arXiv 2402.17762)."""

    magnitude: float
    ratio: float

    def passes(self, magnitude: np.ndarray, median: float) -> np.ndarray:
        """Whether each magnitude [...] passes against `median`; a median of 0 passes nothing."""
        magnitude = np.asarray(magnitude, dtype=np.float64)
        return (magnitude > self.magnitude) & (magnitude >= self.ratio * median) & (median > 0)


def lower_median(values: np.ndarray) -> float:
    """The element at index (n − 1) // 2 in rising order of the finite values; else NaN."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan")
    middle = (finite.size - 1) // 2
    return float(np.partition(finite, middle)[middle])


def massive_channels(massive: xr.Dataset, channels: int) -> xr.Dataset:
    """The events of `Sweep.massive` by channel, most events first; only channels with an event.

    Columns along `channel` (a coordinate of `channels` possible values): `events`, `first_layer`,
    `last_layer`, `max_magnitude`, and `events_at_position_0`.
    """
    events = np.zeros(channels, np.int64)
    at_start = np.zeros(channels, np.int64)
    first = np.full(channels, np.iinfo(np.int64).max)
    last = np.full(channels, -1, np.int64)
    largest = np.zeros(channels, np.float32)
    for start in range(0, massive.sizes["event"], EVENTS_PER_READ):
        block = massive.isel(event=slice(start, start + EVENTS_PER_READ))
        channel = block["channel"].values.astype(np.int64)
        layer = block["layer"].values.astype(np.int64)
        np.add.at(events, channel, 1)
        np.add.at(at_start, channel, block["position"].values == 0)
        np.minimum.at(first, channel, layer)
        np.maximum.at(last, channel, layer)
        np.maximum.at(largest, channel, np.abs(block["value"].values))
    order = np.argsort(-events, kind="stable")[: np.count_nonzero(events)]
    columns = {
        "events": events,
        "first_layer": first,
        "last_layer": last,
        "max_magnitude": largest,
        "events_at_position_0": at_start,
    }
    return xr.Dataset(
        {name: ("channel", column[order]) for name, column in columns.items()},
        coords={"channel": order},
    )
