"""Means, deviations and quantiles from the raw sums of a site.

In: a site's dataset (`Sweep.residual`), or one that was indexed first:
`channel_mean(sweep.residual.isel(layer=3))` reads one layer. Out: data arrays in float64, NaN where
nothing was counted. Deviations are of the population (divided by n).
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

TOKEN_CLASSES = ("position 0", "delimiter", "weak-semantic word", "other")
ROLES = ("template", "system", "user", "assistant", "tool")  # of chats
IMAGE_CLASSES = ("class token", "register", "patch", "other")


def channel_mean(site: xr.Dataset) -> xr.DataArray:
    """[layer, channel]: mean of the signed activation over tokens."""
    return _named(_mean(site["channel_sum"], site["count"]), "channel_mean", "mean activation")


def channel_std(site: xr.Dataset) -> xr.DataArray:
    """[layer, channel]: standard deviation of the signed activation over tokens."""
    std = _std(site["channel_sum"], site["channel_sum_square"], site["count"])
    return _named(std, "channel_std", "standard deviation of the activation")


def class_mean(site: xr.Dataset) -> xr.DataArray:
    """[layer, class, channel]: mean of the signed activation over all tokens of a class."""
    mean = _mean(site["class_sum"], site["class_count"])
    return _named(mean, "class_mean", "mean activation by token class", **_class_names())


def class_std(site: xr.Dataset) -> xr.DataArray:
    """[layer, class, channel]: standard deviation over all tokens of a class."""
    std = _std(site["class_sum"], site["class_sum_square"], site["class_count"])
    return _named(std, "class_std", "standard deviation by token class", **_class_names())


def role_mean(site: xr.Dataset) -> xr.DataArray:
    """[layer, role, class, channel]: mean of the signed activation over a role's tokens of a class."""
    mean = _mean(site["role_sum"], site["role_count"])
    names = {"role": list(ROLES), **_class_names()}
    return _named(mean, "role_mean", "mean activation by role and token class", **names)


def role_std(site: xr.Dataset) -> xr.DataArray:
    """[layer, role, class, channel]: standard deviation over a role's tokens of a class."""
    std = _std(site["role_sum"], site["role_sum_square"], site["role_count"])
    names = {"role": list(ROLES), **_class_names()}
    return _named(std, "role_std", "standard deviation by role and token class", **names)


def magnitude_quantile(
    site: xr.Dataset, quantiles: ArrayLike, histogram: str = "magnitude_histogram"
) -> xr.DataArray:
    """[layer, quantile]: quantiles of |x| over tokens and channels, from the histogram; of blocks'
    largest magnitudes from theirs ("block16_histogram").

    The value is the lower edge of the bin that holds the element at index floor(q (n − 1)) in
    rising order: exact for a bfloat16 residual, else at most 2⁻⁷ of itself too low.
    """
    quantiles = _checked(quantiles)
    edges = site["magnitude_bin"].values  # [bins] float32
    result = xr.apply_ufunc(
        _quantiles_of,
        site[histogram].compute(),
        input_core_dims=[["magnitude_bin"]],
        output_core_dims=[["quantile"]],
        kwargs={"edges": edges, "quantiles": quantiles},
        vectorize=True,
    )
    return _named(result, "magnitude_quantile", "quantiles of |x|", quantile=quantiles)


def channel_quantile(site: xr.Dataset, quantiles: ArrayLike) -> xr.DataArray:
    """[layer, channel, quantile]: quantiles of each channel's |x| over tokens, read layer by layer.

    The value is the lower edge of the quarter octave that holds the element at index floor(q (n − 1))
    in rising order: that element is less than 2^(1/4) times as large (the first bin begins at 0, and
    the last, at 2^17.75, has no end). NaN where a layer has no tokens.
    """
    quantiles = _checked(quantiles)
    counts = site["channel_histogram"]  # [layer, channel, quarter_octave], or of one layer
    edges = site["quarter_octave"].values.astype(np.float64)
    axis = counts.dims[0] if counts.ndim > 2 else None
    layers = [counts] if axis is None else [counts.isel({axis: i}) for i in range(counts.sizes[axis])]
    found = [_quantiles_by_row(layer.values, edges, quantiles) for layer in layers]
    dims = (*counts.dims[:-1], "quantile")
    values = xr.DataArray(found[0] if axis is None else np.stack(found), dims=dims)
    return _named(values, "channel_quantile", "quantiles of |x| by channel", quantile=quantiles)


def layer_summary(site: xr.Dataset) -> xr.Dataset:
    """The layer curve: mean and standard deviation over sequences, read layer by layer.

    `top_mean`, `top_std` [layer, order] of the largest magnitudes of a sequence, `median_mean`,
    `median_std` [layer] of its median magnitude, and `sequences` [layer]: how many had finite
    values, which are those that enter.
    """
    layers = site.sizes["layer"]
    top = np.full((2, layers, site.sizes["order"]), np.nan)
    median = np.full((2, layers), np.nan)
    used = np.zeros(layers, np.int64)
    for layer in range(layers):
        one = site[["sequence_top_value", "sequence_median_magnitude"]].isel(layer=layer).load()
        of_sequence = one["sequence_median_magnitude"].values.astype(np.float64)
        kept = np.isfinite(of_sequence)
        used[layer] = np.count_nonzero(kept)
        if used[layer]:
            values = np.abs(one["sequence_top_value"].values[kept].astype(np.float64))
            top[:, layer] = values.mean(axis=0), values.std(axis=0)
            median[:, layer] = of_sequence[kept].mean(), of_sequence[kept].std()
    return xr.Dataset(
        {
            "top_mean": (("layer", "order"), top[0]),
            "top_std": (("layer", "order"), top[1]),
            "median_mean": ("layer", median[0]),
            "median_std": ("layer", median[1]),
            "sequences": ("layer", used),
        }
    )


def _mean(total: xr.DataArray, count: xr.DataArray) -> xr.DataArray:
    return total / count.where(count > 0)


def _std(total: xr.DataArray, squares: xr.DataArray, count: xr.DataArray) -> xr.DataArray:
    # Rounding can leave a small negative variance where a channel hardly varies.
    variance = _mean(squares, count) - _mean(total, count) ** 2
    return np.sqrt(variance.clip(min=0))


def _checked(quantiles: ArrayLike) -> np.ndarray:
    quantiles = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
    if np.any((quantiles < 0) | (quantiles > 1)):
        raise ValueError(f"quantiles must lie in [0, 1], found {quantiles.tolist()}")
    return quantiles


def _quantiles_by_row(counts: np.ndarray, edges: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """`counts`: [rows, bins]. Returns [rows, quantiles] float64."""
    below = np.cumsum(counts, axis=1)
    total = below[:, -1:]
    index = np.floor(quantiles * (total - 1))  # [rows, quantiles]
    bins = np.stack([(below <= at[:, None]).sum(axis=1) for at in index.T], axis=1)
    return np.where(total > 0, edges[np.minimum(bins, len(edges) - 1)], np.nan)


def _quantiles_of(histogram: np.ndarray, edges: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """`histogram`: [bins] counts. Returns [quantiles] float64."""
    below = np.cumsum(histogram)
    if below[-1] == 0:
        return np.full(len(quantiles), np.nan)
    index = np.floor(quantiles * (below[-1] - 1))
    return edges[np.searchsorted(below, index, side="right")].astype(np.float64)


def _class_names() -> dict[str, list[str]]:
    return {"class": list(TOKEN_CLASSES)}


def _named(values: xr.DataArray, name: str, long_name: str, **coords: ArrayLike) -> xr.DataArray:
    values = values.rename(name).assign_coords(coords)
    values.attrs = {"long_name": long_name}
    return values
