"""How the residual stream turns from layer to layer, and in how many directions it lies
(docs/statistics.md).

In: a `Sweep` with `/geometry`. Out: frames by layer and by token. A token along the first token's
direction in a middle layer is a secondary sink in the sense of arXiv 2512.22213.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .frames import token_columns

TOKENS_SHOWN = 30
PARALLEL = 0.9  # of |cos|, arXiv 2512.22213


def participation_by_layer(sweep: Sweep) -> pd.DataFrame:
    """By layer: means over sequences of the participation ratios."""
    group = sweep.group("geometry")
    names = {"participation": "rows as they are", "participation_normed": "rows normed"}
    frames = [
        pd.DataFrame(
            {
                "layer": range(group.sizes["layer"]),
                "rows": rows,
                "participation": np.nanmean(group[name].values.astype(np.float64), axis=1),
            }
        )
        for name, rows in names.items()
    ]
    return pd.concat(frames, ignore_index=True)


def cosines_by_layer(sweep: Sweep) -> pd.DataFrame:
    """By layer, for the tokens at position 0 and for the others: mean cosine with the layer before;
    for the others mean |cos| with the first token, and the share above 0.9."""
    group = sweep.group("geometry")
    is_first = sweep.tokens["position"].values == 0
    rows = []
    for layer in range(group.sizes["layer"]):
        first = np.abs(group["token_cos_first"].isel(layer=layer).values.astype(np.float64))
        previous = group["token_cos_previous"].isel(layer=layer).values.astype(np.float64)
        for name, chosen in (("position 0", is_first), ("others", ~is_first)):
            of_first = first[chosen & ~np.isnan(first)]
            of_previous = previous[chosen & ~np.isnan(previous)]
            is_known = name == "others" and len(of_first) > 0
            rows.append(
                {
                    "layer": layer,
                    "tokens": name,
                    "with the layer before": of_previous.mean() if len(of_previous) else np.nan,
                    "with the first token": of_first.mean() if is_known else np.nan,
                    "share above 0.9": (of_first > PARALLEL).mean() if is_known else np.nan,
                }
            )
    return pd.DataFrame(rows)


def tokens_along_first(sweep: Sweep, count: int = TOKENS_SHOWN) -> pd.DataFrame:
    """The tokens beyond position 0 that lie along the first token of their sequence (|cos| > 0.9) in
    most layers, with the first and the last of these."""
    group, tokens = sweep.group("geometry"), sweep.tokens
    layers, length = group.sizes["layer"], group.sizes["token"]
    counts, begin, end = np.zeros((3, length), np.int64)
    largest = np.zeros(length, np.float32)
    for layer in range(layers):
        along = np.nan_to_num(np.abs(group["token_cos_first"].isel(layer=layer).values))
        largest = np.maximum(largest, along)
        is_along = along > PARALLEL
        begin[is_along & (counts == 0)] = layer
        end[is_along] = layer
        counts += is_along
    counts[tokens["position"].values == 0] = 0
    chosen = np.lexsort((-largest, -counts))[:count]
    chosen = chosen[counts[chosen] > 0]
    return pd.DataFrame(
        {
            **token_columns(sweep, chosen),
            "layers above 0.9": counts[chosen],
            "first layer": begin[chosen],
            "last layer": end[chosen],
            "largest |cos|": largest[chosen],
        }
    )
