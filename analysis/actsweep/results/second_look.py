"""What tokens receive from attention, and how large scores become (docs/statistics.md).

In: a `Sweep` with `/attention_received` or `/scores`. Out: frames by layer, by token, and by head.
A secondary sink is a key beyond position 0 that draws more attention on average than others of its
window (arXiv 2512.22213).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .frames import long_frame, token_columns

NONE = 2**32 - 1
TOKENS_SHOWN = 30


def top_keys(sweep: Sweep) -> pd.DataFrame:
    """By layer, over windows and heads: how often the key that receives most is at position 0, which
    other position it is most often, and what it receives on average."""
    group = sweep.group("attention_received")
    rows = []
    for layer in range(group.sizes["layer"]):
        position = group["top_position"].isel(layer=layer).values.reshape(-1)
        received = group["top_mean"].isel(layer=layer).values.reshape(-1)
        is_known = position != NONE
        if not is_known.any():
            continue
        others, counts = np.unique(position[is_known & (position > 0)], return_counts=True)
        rows.append(
            {
                "layer": layer,
                "at position 0": (position[is_known] == 0).mean(),
                "received": received[is_known].astype(np.float64).mean(),
                "next position": int(others[counts.argmax()]) if len(others) else None,
                "share of it": counts.max() / is_known.sum() if len(others) else 0.0,
                "windows × heads": int(is_known.sum()),
            }
        )
    return pd.DataFrame(rows)


def received_by_layer(sweep: Sweep) -> pd.DataFrame:
    """By layer: what the token at position 0 of a window receives on average, and the most that any
    other does."""
    group = sweep.group("attention_received")
    is_first = sweep.tokens["position"].values == 0
    rows = []
    for layer in range(group.sizes["layer"]):
        mean = group["token_mean"].isel(layer=layer).values
        if np.isnan(mean).all():
            continue
        others = mean[~is_first & ~np.isnan(mean)]
        rows += [
            {"layer": layer, "token": "position 0, mean", "received": np.nanmean(mean[is_first])},
            {"layer": layer, "token": "others, largest", "received": others.max(initial=0)},
        ]
    return pd.DataFrame(rows)


def secondary_sinks(sweep: Sweep, count: int = TOKENS_SHOWN) -> pd.DataFrame:
    """The tokens beyond position 0 that receive most from the mean of heads: each in the layer where
    it receives most, the largest first."""
    group, tokens = sweep.group("attention_received"), sweep.tokens
    best = np.zeros(group.sizes["token"], np.float32)
    layer_of = np.zeros(len(best), np.int64)
    for layer in range(group.sizes["layer"]):
        mean = np.nan_to_num(group["token_mean"].isel(layer=layer).values)
        is_larger = mean > best
        best[is_larger], layer_of[is_larger] = mean[is_larger], layer
    best[tokens["position"].values == 0] = 0
    chosen = np.argsort(-best, kind="stable")[:count]
    chosen = chosen[best[chosen] > 0]
    heads = group["token_largest_head"].values[layer_of[chosen], chosen]
    return pd.DataFrame(
        {
            **token_columns(sweep, chosen),
            "layer": layer_of[chosen],
            "mean over heads": best[chosen],
            "largest head": heads,
        }
    )


def largest_scores(sweep: Sweep) -> pd.DataFrame:
    """By layer and head: the largest score and where it was."""
    group = sweep.group("scores")
    axes = {"layer": range(group.sizes["layer"]), "head": range(group.sizes["head"])}
    names = {"largest": "score", "query_position": "query", "key_position": "key",
             "query_norm": "‖q‖"}  # fmt: skip
    frame = long_frame(axes, **{title: group[name].values for name, title in names.items()})
    return frame[frame["query"] >= 0].reset_index(drop=True)


def largest_by_layer(scores: pd.DataFrame) -> pd.DataFrame:
    """Of `largest_scores` the row of each layer's largest."""
    rows = scores.loc[scores.groupby("layer", sort=True)["score"].idxmax()]
    return rows.reset_index(drop=True)
