"""Single parts of a model: super weights, experts, register tokens.

In: a `Sweep` with `/super_weights`, `/experts` or `/registers`. Out: frames by layer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from ..sweep import Sweep
from .frames import deviation, mean_of

SUPER_MAGNITUDE = 50.0


def super_weights(sweep: Sweep) -> pd.DataFrame:
    """Layers whose down projection reads or writes a magnitude above 50 (arXiv 2411.07191)."""
    group = sweep.group("super_weights").reset_coords()
    frame = pd.DataFrame(
        {
            "layer": np.arange(group.sizes["layer"]),
            "neuron": group["neuron"].values,
            "input magnitude": group["input"].values,
            "channel": group["channel"].values,
            "output magnitude": group["output"].values,
            "weight": group["weight"].values,
        }
    )
    large_input = frame["input magnitude"] > SUPER_MAGNITUDE
    large_output = frame["output magnitude"] > SUPER_MAGNITUDE
    words = np.select(
        [large_input & large_output, large_input], ["both", "input alone"], "output alone"
    )
    frame[f"above {SUPER_MAGNITUDE:g}"] = words
    return frame[large_input | large_output].reset_index(drop=True)


NO_EXPERT = 2**32 - 1
FIRST_COLUMNS = (
    "layer", "expert", "share of first tokens", "weight in first tokens", "share of other tokens",
    "weight in other tokens",
)  # fmt: skip
SUPER_SHARE, SUPER_PERCENTILE, SUPER_PART = 0.75, 99.5, 10


def super_experts(of_experts: pd.DataFrame, layers: int) -> pd.DataFrame:
    """The experts of `experts` whose largest output passes the 99.5th percentile of all and a tenth of
    the largest, in the first three quarters of the model's layers (arXiv 2507.23279)."""
    largest = of_experts["largest output"]
    routed = largest.dropna()
    if not len(routed):
        return of_experts.iloc[:0]
    least = max(np.percentile(routed, SUPER_PERCENTILE), routed.max() / SUPER_PART)
    is_early = of_experts["layer"] <= SUPER_SHARE * layers
    return of_experts[is_early & (largest > least)].reset_index(drop=True)


def experts(sweep: Sweep) -> pd.DataFrame:
    """By layer with experts and expert: tokens, their share, largest output; or never routed. Where a
    file has them: the means over its tokens of the router's weight, and of the norm of what the
    expert adds, which is REAP's saliency (arXiv 2510.13999)."""
    group = sweep.group("experts")
    parts = []
    for layer in range(group.sizes["layer"]):
        tokens = group["token_count"].isel(layer=layer).values
        if not tokens.sum():
            continue
        output = group["max_output"].isel(layer=layer).values.astype(np.float64)
        parts.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "expert": np.arange(len(tokens)),
                    "tokens": tokens,
                    "share of choices": tokens / tokens.sum(),
                    "largest output": np.where(tokens > 0, output, np.nan),
                    **_expert_means(group, layer, tokens),
                    "remark": np.where(tokens > 0, "", "never routed"),
                }
            )
        )
    columns = ("layer", "expert", "tokens", "share of choices", "largest output", "remark")
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _expert_means(group: xr.Dataset, layer: int, tokens: np.ndarray) -> dict[str, np.ndarray]:
    names = {"mean weight": "gate_sum", "saliency": "weighted_norm_sum"}
    return {
        title: mean_of(group[name].isel(layer=layer).values, tokens)
        for title, name in names.items()
        if name in group
    }


def experts_of_first_tokens(sweep: Sweep) -> pd.DataFrame:
    """By layer with experts and expert that any window's first token chose: the share of these tokens
    that chose it, and of all others, with the means of the router's weight. Read layer by layer; of the
    tokens whose rows the file has."""
    group = sweep.group("experts")[["token_experts", "token_gates"]]
    is_first = _kept(sweep, "position", group) == 0
    parts = []
    for layer in range(group.sizes["layer"]):
        chosen = group["token_experts"].isel(layer=layer).values  # [row, choice]
        if not chosen.size or chosen[0, 0] == NO_EXPERT:
            continue
        gates = group["token_gates"].isel(layer=layer).values.astype(np.float64)
        for expert in np.unique(chosen[is_first]):
            row = {"layer": layer, "expert": int(expert)}
            for name, rows in (("first tokens", is_first), ("other tokens", ~is_first)):
                is_chosen = chosen[rows] == expert
                count = int(is_chosen.sum())
                row[f"share of {name}"] = count / max(rows.sum(), 1)
                row[f"weight in {name}"] = gates[rows][is_chosen].mean() if count else np.nan
            parts.append(row)
    return pd.DataFrame(parts, columns=FIRST_COLUMNS)


def _kept(sweep: Sweep, column: str, group: xr.Dataset) -> np.ndarray:
    """A column of `/tokens` at the rows of a group: of all tokens, or of those with an event."""
    values = sweep.tokens[column].values
    return values[sweep.tokens["row_token"].values] if "row" in group.sizes else values


def experts_by_layer(of_experts: pd.DataFrame) -> pd.DataFrame:
    """By layer: experts, how many were never routed, and the busiest one's share."""
    wide = of_experts.assign(never=of_experts["tokens"] == 0)
    return wide.groupby("layer", as_index=False).agg(
        experts=("expert", "count"),
        **{
            "never routed": ("never", "sum"),
            "share of the busiest": ("share of choices", "max"),
            "largest output": ("largest output", "max"),
        },
    )


def registers(sweep: Sweep) -> pd.DataFrame:
    """By layer and register: norm of its mean over images, and the mean's largest channel."""
    group = sweep.group("registers")
    rows = []
    for layer, count in enumerate(group["count"].values):
        if not count:
            continue
        one = group[["sum", "sum_square"]].isel(layer=layer)
        mean = mean_of(one["sum"], count)  # [register, channel]
        std = deviation(one["sum"], one["sum_square"], count)
        for register in range(len(mean)):
            channel = int(np.abs(mean[register]).argmax())
            rows.append(
                {
                    "layer": layer,
                    "register": register,
                    "images": int(count),
                    "norm of the mean": np.linalg.norm(mean[register]),
                    "spread": np.linalg.norm(std[register]),
                    "largest channel": channel,
                    "its mean": mean[register, channel],
                    "its std": std[register, channel],
                }
            )
    columns = ["layer", "register", "images", "norm of the mean", "spread", "largest channel"]
    return pd.DataFrame(rows, columns=[*columns, "its mean", "its std"])
