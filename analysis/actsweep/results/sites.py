"""Outlier features and kurtosis of every site that a file holds.

In: a `Sweep`. Out: frames by site, layer and channel, from counts, maxima and power sums. Layers in
which a site has no tokens (the embedding's layer 0 for all but the residual stream) are left out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ..sweep import Sweep

SITES = (
    "residual",
    "attention_input",
    "q_latent",
    "kv_latent",
    "query",
    "key",
    "value",
    "attention_heads",
    "attention_output",
    "state_output",
    "mlp_input",
    "gate",
    "up",
    "mlp_hidden",
    "mlp_output",
    "final_norm",
)
SHARE_OF_TOKENS, SHARE_OF_LAYERS = 0.06, 0.25
DEVIATIONS = 6.0


def sites_of(sweep: Sweep) -> list[str]:
    """The sites that the file holds, in the order of a layer."""
    return [site for site in SITES if sweep.has(site)]


def measured_layers(sweep: Sweep, site: xr.Dataset) -> tuple[np.ndarray, xr.Dataset]:
    """The numbers of the layers with tokens, and the site's sums at them, without rows and
    histograms."""
    fields = site[[name for name in site.data_vars if "channel" in str(name) or name == "count"]]
    others = ["token_top_channel", "sequence_top_channel", "channel_histogram"]
    fields = fields.drop_vars(others, errors="ignore")
    return at_measured_layers(sweep, fields)


def at_measured_layers(sweep: Sweep, fields: xr.Dataset) -> tuple[np.ndarray, xr.Dataset]:
    """Of a site's fields, `count` among them: the numbers of the layers with tokens, and the fields
    there."""
    axis = fields["count"].dims[0]
    places = np.flatnonzero(fields["count"].values)
    numbers = places if axis == "layer" else places + int(sweep.attributes["num_layers"])
    return numbers, fields.isel({axis: places})


def outlier_features(sweep: Sweep) -> pd.DataFrame:
    """LLM.int8()'s rule (arXiv 2208.07339): |x| ≥ 6 in 6 % of tokens and 25 % of layers.

    Tokens are counted over all layers; a layer counts with one such value, as in that paper.
    """
    rows = []
    for name in sites_of(sweep):
        layers, site = measured_layers(sweep, sweep.site(name))
        above = site["channel_count_above_6"].values  # [layer, channel]
        of_tokens = above.sum(axis=0) / max(int(site["count"].sum()), 1)
        of_layers = (above > 0).sum(axis=0) / max(len(layers), 1)
        largest = site["channel_max_magnitude"].values.max(axis=0, initial=0)
        passing = (of_tokens >= SHARE_OF_TOKENS) & (of_layers >= SHARE_OF_LAYERS)
        for channel in np.flatnonzero(passing):
            rows.append((name, channel, of_tokens[channel], of_layers[channel], largest[channel]))
    columns = ["site", "channel", "share of tokens", "share of layers", "largest magnitude"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("share of tokens", ascending=False, kind="stable", ignore_index=True)


def outlier_counts(sweep: Sweep, features: pd.DataFrame) -> pd.DataFrame:
    """By site: how many outlier features, of how many channels."""
    sites = sites_of(sweep)
    widths = [sweep.site(name)["channel_count_above_6"].shape[-1] for name in sites]
    found = [int((features["site"] == name).sum()) for name in sites]
    return pd.DataFrame({"site": sites, "outlier features": found, "channels": widths})


def beyond_deviations(sweep: Sweep) -> pd.DataFrame:
    """By site and layer: channels whose largest magnitude passes 6 standard deviations.

    The deviation is over all tokens and channels of the layer (Bondarenko et al., arXiv
    2306.12929).
    """
    rows = []
    for name in sites_of(sweep):
        layers, site = measured_layers(sweep, sweep.site(name))
        for place, layer in enumerate(layers):
            one = site.isel({site["count"].dims[0]: place})
            largest = one["channel_max_magnitude"].values
            elements = int(one["count"]) * largest.size
            mean = float(one["channel_sum"].sum()) / elements
            variance = float(one["channel_sum_square"].sum()) / elements - mean**2
            std = np.sqrt(max(variance, 0))
            passing = np.flatnonzero(largest > DEVIATIONS * std)
            top = passing[np.argsort(-largest[passing], kind="stable")][:5]
            rows.append(
                {
                    "site": name,
                    "layer": int(layer),
                    "standard deviation": std,
                    "outlier channels": len(passing),
                    "largest, in deviations": float(largest.max()) / std if std else np.nan,
                    "channels": ", ".join(map(str, top)),
                }
            )
    return pd.DataFrame(rows)


def kurtosis(sweep: Sweep) -> pd.DataFrame:
    """By site and layer: C · Σ s⁴ / (Σ s²)² with s the RMS of a channel over tokens.

    1 where all channels are alike, C where one channel carries everything.
    """
    parts = []
    for name in sites_of(sweep):
        layers, site = measured_layers(sweep, sweep.site(name))
        mean_square = site["channel_sum_square"].values / site["count"].values[:, None]
        total = mean_square.sum(axis=1)
        fourth = np.square(mean_square).sum(axis=1) * mean_square.shape[1]
        value = np.divide(fourth, total**2, out=np.full(len(total), np.nan), where=total > 0)
        parts.append(pd.DataFrame({"site": name, "layer": layers, "kurtosis": value}))
    return pd.concat(parts, ignore_index=True)
