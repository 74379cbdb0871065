"""Where massive activations are and how large (arXiv 2402.17762, section 2, table 1).

In: a `Sweep`. Out: frames by layer, by reading of the criterion, by step between layers, by token,
by position and by channel. Per-token rows are read for one layer at a time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..moments import layer_summary, magnitude_quantile
from ..sweep import Sweep
from .events import SEQUENCE_READING, TOKEN_READING, events_by

READINGS = ("median of the sequence (official)", "median of the token", "median of the corpus")
TOPS_SHOWN = 5
STEP_FACTOR = 2.0
LISTED = 5
_NONE = 2**32 - 1


def layer_curves(sweep: Sweep, site: str = "residual") -> pd.DataFrame:
    """By layer: mean and standard deviation over sequences of the largest magnitudes and median."""
    summary = layer_summary(sweep.site(site))
    layers = np.arange(summary.sizes["layer"])
    frame = pd.DataFrame({"layer": layers, "depth": layers / max(layers[-1], 1)})
    frame["sequences"] = summary["sequences"].values
    for order in range(summary.sizes["order"]):
        frame[f"top {order + 1}"] = summary["top_mean"].values[:, order]
        frame[f"top {order + 1} std"] = summary["top_std"].values[:, order]
    frame["median"] = summary["median_mean"].values
    frame["median std"] = summary["median_std"].values
    return frame


def existence(sweep: Sweep, curves: pd.DataFrame) -> pd.DataFrame:
    """One row per reading: the magnitudes of the layer with the largest, and what is massive."""
    layer = int(np.nan_to_num(curves["top 1"].to_numpy()).argmax())
    tops = [name for name in curves if name.startswith("top ") and "std" not in name][:TOPS_SHOWN]
    of_sequences = [float(curves[name][layer]) for name in tops]
    quantiles = magnitude_quantile(sweep.residual.isel(layer=[layer]), [0.99, 0.9]).values[0]
    by_channel = np.sort(sweep.residual["channel_max_magnitude"].isel(layer=layer).values)[::-1]
    corpus = sweep.group("massive_corpus").isel(finding=slice(0))
    medians = (
        float(curves["median"][layer]),
        _median_of_top_tokens(sweep, layer),
        float(corpus["median_magnitude"].isel(layer=layer)),
    )
    rows = []
    for reading, median in zip(READINGS, medians, strict=True):
        values = by_channel[: len(tops)] if reading == READINGS[2] else of_sequences
        row = {"reading": reading, "layer": layer}
        row |= {name: float(value) for name, value in zip(tops, values, strict=True)}
        row |= {"top 1 %": quantiles[0], "top 10 %": quantiles[1], "median": median}
        row["ratio"] = row["top 1"] / median if median > 0 else np.nan
        rows.append(row | _found(sweep, reading))
    return pd.DataFrame(rows)


def _median_of_top_tokens(sweep: Sweep, layer: int) -> float:
    """Mean over sequences of the median magnitude of the token with the largest activation."""
    site = sweep.residual
    if "token_median_magnitude" not in site:
        return float("nan")
    position = site["sequence_top_position"].isel(layer=layer, order=0).values.astype(np.int64)
    length = sweep.sequences["length"].values.astype(np.int64)
    token = (np.cumsum(length) - length + position)[position != _NONE]
    median = site["token_median_magnitude"].isel(layer=layer)
    if "row" in median.sizes:
        kept = sweep.tokens["row_token"].values
        token = np.searchsorted(kept, token)[np.isin(token, kept)]
    return float(median.values[token].mean(dtype=np.float64)) if len(token) else float("nan")


def _found(sweep: Sweep, reading: str) -> dict[str, object]:
    """How many pass a reading, in which channels, at which tokens, in which layers."""
    if reading == READINGS[2]:
        corpus = sweep.group("massive_corpus").reset_coords()
        pairs = pd.DataFrame({name: corpus[name].values for name in ("layer", "channel")})
        pairs["events"] = 1
        counts = {"massive activations": np.nan, "tokens": "not stored"}
    else:
        bit = SEQUENCE_READING if reading == READINGS[0] else TOKEN_READING
        pairs = events_by(sweep, ["layer", "channel"], bit)
        ids = events_by(sweep, ["token_id"], bit)
        texts = [repr(text) for text in sweep.decode_each(ids["token_id"])]
        counts = {
            "massive activations": int(pairs["events"].sum()),
            "tokens": _most(pd.Series(ids["events"].to_numpy(), index=texts)),
        }
    layers = f"{pairs['layer'].min()}–{pairs['layer'].max()}" if len(pairs) else "none"
    by_channel = pairs.groupby("channel")["events"].sum()
    return {
        "massive activations": counts["massive activations"],
        "(layer, channel) pairs": len(pairs),
        "channels": _most(by_channel),
        "tokens": counts["tokens"],
        "layers": layers,
    }


def _most(counts: pd.Series) -> str:
    """The names with the largest counts, and how many others there are."""
    if counts.empty:
        return "none"
    names = [str(name) for name in counts.sort_values(ascending=False, kind="stable").index]
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def steps(sweep: Sweep, curves: pd.DataFrame) -> pd.DataFrame:
    """Neighbouring layers whose largest magnitudes differ by STEP_FACTOR or more, up or down."""
    top = curves["top 1"].to_numpy()
    factor = np.divide(top[1:], top[:-1], out=np.full(len(top) - 1, np.nan), where=top[:-1] > 0)
    chosen = np.flatnonzero((factor >= STEP_FACTOR) | (factor <= 1 / STEP_FACTOR))
    massive = set(events_by(sweep, ["layer"])["layer"])
    return pd.DataFrame(
        {
            "from layer": chosen,
            "to layer": chosen + 1,
            "step": ["up" if factor[layer] > 1 else "down" for layer in chosen],
            "before": top[chosen],
            "after": top[chosen + 1],
            "factor": factor[chosen],
            "massive before": [_yes(layer in massive) for layer in chosen],
            "massive after": [_yes(layer + 1 in massive) for layer in chosen],
        }
    )


def massive_tokens(sweep: Sweep) -> pd.DataFrame:
    """By token and class, most events first: how often it carries an event, and at position 0."""
    found = events_by(sweep, ["token_id", "class", "position"])
    found["starts"] = found["events"].where(found["position"] == 0, 0)
    by_token = found.groupby(["token_id", "class"], as_index=False).agg(
        events=("events", "sum"), starts=("starts", "sum"), largest=("largest", "max")
    )
    by_token = by_token.sort_values("events", ascending=False, kind="stable", ignore_index=True)
    return pd.DataFrame(
        {
            "token": [repr(text) for text in sweep.decode_each(by_token["token_id"])],
            "id": by_token["token_id"],
            "class": sweep.class_names(by_token["class"]),
            "events": by_token["events"],
            "share of events": by_token["events"] / max(int(by_token["events"].sum()), 1),
            "at position 0": by_token["starts"] / by_token["events"],
            "largest": by_token["largest"],
        }
    )


def massive_positions(sweep: Sweep) -> pd.DataFrame:
    """By position and class: events, and their share of all."""
    found = events_by(sweep, ["position", "class"])
    return pd.DataFrame(
        {
            "position": found["position"],
            "class": sweep.class_names(found["class"]),
            "events": found["events"],
            "share of events": found["events"] / max(int(found["events"].sum()), 1),
        }
    )


def massive_by_class(sweep: Sweep) -> pd.DataFrame:
    """By layer, channel and token class: events, mean and deviation of their signed value."""
    found = events_by(sweep, ["layer", "channel", "class"])
    return found.assign(**{"class": sweep.class_names(found["class"])})


def _yes(claim: bool) -> str:
    return "yes" if claim else "no"
