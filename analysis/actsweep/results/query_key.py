"""Massive values in queries and keys (Jin et al., arXiv 2502.01563), with values as the control.

In: a `Sweep` with `/qk`. Out: M[h, d] = ‖x[:, h, d]‖₂ over tokens, and where it is above 5 times
its mean over d.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .frames import long_frame

FACTOR = 5.0
TENSORS = {
    "query": "query_square_sum",
    "query after rotary": "rotated_query_square_sum",
    "key": "key_square_sum",
    "key after rotary": "rotated_key_square_sum",
    "value (control)": "value_square_sum",
}


def ratios(sweep: Sweep) -> pd.DataFrame:
    """By tensor, layer, head and channel of the head: M, and M over its mean over d."""
    group = sweep.group("qk")
    counted = np.flatnonzero(group["token_count"].values)
    parts = []
    for tensor, dataset in TENSORS.items():
        norm = np.sqrt(group[dataset].isel(layer=counted).values)  # [layer, head, D]
        mean = norm.mean(axis=-1, keepdims=True)
        ratio = np.divide(norm, mean, out=np.zeros(norm.shape), where=mean > 0)
        axes = {"layer": counted, "head": range(norm.shape[1]), "d": range(norm.shape[2])}
        frame = long_frame(axes, norm=norm, ratio=ratio)
        frame.insert(0, "tensor", tensor)
        parts.append(frame)
    return pd.concat(parts, ignore_index=True)


def massive(of_ratios: pd.DataFrame) -> pd.DataFrame:
    """The massive values, largest ratio first."""
    passing = of_ratios[of_ratios["ratio"] > FACTOR]
    return passing.sort_values("ratio", ascending=False, kind="stable", ignore_index=True)


def by_layer(of_ratios: pd.DataFrame) -> pd.DataFrame:
    """By tensor and layer: the largest ratio, and how many (head, d) are massive."""
    wide = of_ratios.assign(massive=of_ratios["ratio"] > FACTOR)
    return wide.groupby(["tensor", "layer"], as_index=False, sort=False).agg(
        **{"largest ratio": ("ratio", "max"), "massive values": ("massive", "sum")}
    )
