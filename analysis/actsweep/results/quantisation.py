"""What a quantiser asks of each site (docs/statistics.md, "For quantisation").

In: a `Sweep` of a job with `quantisation = true`, `channel_quantiles = true` or `formats`. Out: frames by
site and layer, without the layers in which a site has no tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from ..moments import channel_quantile, magnitude_quantile
from ..sweep import Sweep
from .frames import long_frame, texts_around, token_columns
from .sites import at_measured_layers, sites_of

FIELDS = (
    "channel_min", "channel_max", "kurtosis_count", "kurtosis_sum", "kurtosis_max",
)  # fmt: skip
QUANTILES = {"1 %": 0.01, "median": 0.5, "99 %": 0.99, "99.99 %": 0.9999, "largest": 1.0}
CHANNEL_QUANTILES = {"median": 0.5, "99 %": 0.99, "99.9 %": 0.999}
TYPICAL = "99 %"  # by which channels are ordered
BLOCKS = (16, 32)
CHANNELS_SHOWN = 3  # of a layer


def _sites_with(sweep: Sweep, *names: str) -> Iterator[tuple[str, np.ndarray, xr.Dataset]]:
    """Of each site that has all of these datasets: its name, its measured layers, and its datasets there."""
    for site in sites_of(sweep):
        if all(sweep.has(f"{site}/{name}") for name in names):
            yield site, *at_measured_layers(sweep, sweep.site(site)[["count", *names]])


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def tails(sweep: Sweep) -> pd.DataFrame:
    """By site and layer: the mean and the largest excess kurtosis of a token over channels
    (arXiv 2506.19697), the smallest and the largest value with their channels."""
    parts = []
    for name, layers, site in _sites_with(sweep, *FIELDS):
        tokens = site["kurtosis_count"].values
        lowest, highest = site["channel_min"].values, site["channel_max"].values
        columns = {
            "site": name,
            "layer": layers,
            "mean kurtosis": np.divide(
                site["kurtosis_sum"].values, tokens, out=np.full(len(tokens), np.nan),
                where=tokens > 0,
            ),
            "largest kurtosis": np.where(tokens > 0, site["kurtosis_max"].values, np.nan),
            "smallest value": lowest.min(axis=1, initial=np.inf),
            "its channel": lowest.argmin(axis=1),
            "largest value": highest.max(axis=1, initial=-np.inf),
            "channel of it": highest.argmax(axis=1),
            "tokens": tokens,
        }  # fmt: skip
        parts.append(pd.DataFrame(columns))
    return _joined(parts)


def largest_tokens(sweep: Sweep) -> pd.DataFrame:
    """By site and layer: the channels with the largest magnitudes, and for each the first token that
    has it, with the text around it."""
    parts = []
    for name, layers, site in _sites_with(sweep, "channel_max_magnitude", "channel_max_token"):
        magnitude, token = site["channel_max_magnitude"].values, site["channel_max_token"].values
        channel = np.argsort(-magnitude, axis=1, kind="stable")[:, :CHANNELS_SHOWN]
        columns = {
            "layer": np.repeat(layers, channel.shape[1]),
            "channel": channel.reshape(-1),
            "magnitude": np.take_along_axis(magnitude, channel, axis=1).reshape(-1),
            "token": np.take_along_axis(token, channel, axis=1).reshape(-1),
        }
        parts.append(pd.DataFrame({"site": name, **columns}))
    if not parts:
        return pd.DataFrame()
    found = pd.concat(parts, ignore_index=True)
    found = found[found["token"] >= 0].reset_index(drop=True)
    numbers = found["token"].to_numpy()
    columns = {**token_columns(sweep, numbers), "text around it": texts_around(sweep, numbers)}
    return found.assign(**columns)


def block_maxima(sweep: Sweep) -> pd.DataFrame:
    """By site, layer and size of blocks: quantiles of the largest magnitude of a block of neighbouring
    channels, exact to a bin of the histogram."""
    parts = []
    histograms = [f"block{size}_histogram" for size in BLOCKS]
    for name, layers, site in _sites_with(sweep, *histograms):
        for size in BLOCKS:
            values = magnitude_quantile(site, list(QUANTILES.values()), f"block{size}_histogram")
            columns = dict(zip(QUANTILES, values.values.T, strict=True))
            parts.append(
                pd.DataFrame({"site": name, "layer": layers, "channels of a block": size, **columns})
            )
    return _joined(parts)


def channel_quantiles(sweep: Sweep) -> pd.DataFrame:
    """By site and layer: the channel whose magnitudes are largest, its quantiles, and the same quantile
    of the channel in the middle. Lower edges of quarter octaves; the largest is exact."""
    parts = []
    for name, layers, site in _sites_with(sweep, "channel_histogram", "channel_max_magnitude"):
        found = channel_quantile(site, list(CHANNEL_QUANTILES.values())).values
        of_typical = found[:, :, list(CHANNEL_QUANTILES).index(TYPICAL)]  # [layer, channel]
        order = np.argsort(of_typical, axis=1, kind="stable")
        largest, middle = order[:, -1], order[:, (order.shape[1] - 1) // 2]
        rows = np.arange(len(layers))
        columns = dict(zip(CHANNEL_QUANTILES, found[rows, largest].T, strict=True))
        columns["largest"] = site["channel_max_magnitude"].values[rows, largest]
        columns[f"{TYPICAL} of the middle channel"] = of_typical[rows, middle]
        parts.append(pd.DataFrame({"site": name, "layer": layers, "channel": largest, **columns}))
    return _joined(parts)


def format_noise(sweep: Sweep) -> pd.DataFrame:
    """By site, layer and format: 10 log10(Σx² / Σ(x − x̂)²) in dB; infinite where nothing is lost."""
    parts = []
    for name, layers, site in _sites_with(sweep, "format_error_square", "format_square"):
        error, square = site["format_error_square"].values, site["format_square"].values
        with np.errstate(divide="ignore", invalid="ignore"):
            values = {"SQNR, dB": 10 * np.log10(square / error), "noise": error / square}
        axes = {"layer": list(layers), "format": sweep.names("formats")}
        frame = long_frame(axes, **values)
        frame.insert(0, "site", name)
        parts.append(frame)
    return _joined(parts)
