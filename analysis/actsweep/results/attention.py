"""What attention does with massive tokens (arXiv 2402.17762, section 4), sinks and entropy.

In: a `Sweep` with `/attention`, or with a prompt's attention in `/capture`. Out: frames by layer
and head; layers and sets without queries are left out. The sink metric is that of Gu et al.
(arXiv 2410.10781): the share of sequences, layers and heads whose mean attention to position 0 is
above epsilon.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .frames import long_frame, mean_of

WHOLE, FIRST_64 = "whole window", "first 64 tokens"


def attention_to_sets(sweep: Sweep) -> pd.DataFrame:
    """By layer, head and key set: mean over queries of the attention to the set, and its score."""
    group = sweep.group("attention")
    queries = group["query_count"].values  # [layer, key_set]
    axes = {
        "layer": range(group.sizes["layer"]),
        "head": range(group.sizes["head"]),
        "key set": sweep.names("key_sets"),
    }
    frame = long_frame(
        axes,
        attention=mean_of(group["mass_sum"], queries[:, None]),
        score=mean_of(group["logit_sum"], queries[:, None]),
        queries=queries[:, None],
        keys=group["key_count"].values[:, None],
    )
    return _counted(frame, "queries")


def attention_by_layer(to_sets: pd.DataFrame) -> pd.DataFrame:
    """Over the heads of a layer: mean, least and most of the attention to a set."""
    return to_sets.groupby(["key set", "layer"], as_index=False, sort=False).agg(
        attention=("attention", "mean"),
        least=("attention", "min"),
        most=("attention", "max"),
        score=("score", "mean"),
        queries=("queries", "first"),
        keys=("keys", "first"),
    )


def value_norm_ratios(sweep: Sweep) -> pd.DataFrame:
    """By layer, key/value head and set: mean norm of the set's values over that of all tokens."""
    group = sweep.group("attention")
    keys = group["key_count"].values  # [layer, key_set]
    of_set = mean_of(group["set_value_norm_sum"], keys[:, None])  # [layer, kv_head, key_set]
    of_all = mean_of(group["value_norm_sum"], group["token_count"].values[:, None])
    axes = {
        "layer": range(group.sizes["layer"]),
        "key/value head": range(group.sizes["kv_head"]),
        "key set": sweep.names("key_sets"),
    }
    frame = long_frame(axes, ratio=mean_of(of_set, of_all[..., None]), keys=keys[:, None])
    return _counted(frame, "keys")


def sink_shares(sweep: Sweep) -> pd.DataFrame:
    """By window, epsilon and layer: share of sequences and heads that sink to position 0."""
    group = sweep.group("attention")
    parts = []
    for window, suffix in ((WHOLE, ""), (FIRST_64, "_64")):
        sequences = group[f"sink_sequences{suffix}"].values  # [layer]
        share = mean_of(group[f"sink_count{suffix}"], sequences[:, None, None])
        axes = {"layer": range(len(sequences)), "epsilon": group["epsilon"].values}
        frame = long_frame(axes, share=share.mean(axis=1), sequences=sequences[:, None])
        frame.insert(0, "window", window)
        parts.append(_counted(frame, "sequences"))
    return pd.concat(parts, ignore_index=True)


def sink_metric(shares: pd.DataFrame) -> pd.DataFrame:
    """The mean over layers of `sink_shares`: over sequences, layers and heads."""
    return shares.groupby(["window", "epsilon"], as_index=False, sort=False).agg(
        metric=("share", "mean"), sequences=("sequences", "max"), layers=("layer", "count")
    )


def head_means(sweep: Sweep) -> pd.DataFrame:
    """By layer and head: mean attention to position 0, and the entropy over its maximum."""
    group = sweep.group("attention")
    sequences, rows = group["sink_sequences"].values, group["entropy_rows"].values  # [layer]
    axes = {"layer": range(group.sizes["layer"]), "head": range(group.sizes["head"])}
    frame = long_frame(
        axes,
        sink=mean_of(group["sink_sum"], sequences[:, None]),
        entropy=mean_of(group["entropy_sum"], rows[:, None]),
        rows=rows[:, None],
    )
    return _counted(frame, "rows").rename(columns={"sink": "attention to position 0"})


def over_heads(heads: pd.DataFrame, column: str, by: list[str]) -> pd.DataFrame:
    """Mean, least and most over heads of a column."""
    return heads.groupby(by, as_index=False, sort=False).agg(
        mean=(column, "mean"), least=(column, "min"), most=(column, "max")
    )


def captured_maps(
    sweep: Sweep, prompt: str, layer: int, tokens: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and scores [head, query, key] of a prompt in one layer, NaN where hidden.

    `tokens`: how many of the prompt's first; all of them if None.
    """
    capture = sweep.capture(prompt).isel(token=slice(tokens), key_token=slice(tokens))
    score = capture["attention_logit"].isel(layer=layer).values.astype(np.float64)
    probability = capture["attention"].isel(layer=layer).values.astype(np.float64)
    return np.where(np.isnan(score), np.nan, probability), score


def layer_means(sweep: Sweep, prompt: str, tokens: int | None = None) -> np.ndarray:
    """[layer, query, key]: probabilities averaged over heads, NaN where hidden or not measured."""
    layers = sweep.capture(prompt).sizes["layer"]
    maps = [captured_maps(sweep, prompt, layer, tokens)[0] for layer in range(layers)]
    return np.stack([one.mean(axis=0) for one in maps])


def _counted(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return frame[frame[column] > 0].reset_index(drop=True)
