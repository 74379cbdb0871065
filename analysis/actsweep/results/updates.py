"""Who writes massive activations and who removes them (docs/statistics.md).

In: a `Sweep` with `/massive/before` and the updates beside it. Out: a frame of steps: layers at which
a channel's magnitude doubles or halves, and what attention and the MLP change of it there
(step-up and step-down blocks of arXiv 2603.05498).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..sweep import Sweep
from .events import event_blocks

STEP = 2.0
COLUMNS = (
    "layer", "channel", "value", "before", "attention_update", "mlp_update",
    "next_attention_update", "next_mlp_update",
)  # fmt: skip
KEYS = ["step", "layer", "channel"]


def steps(sweep: Sweep) -> pd.DataFrame:
    """By direction, layer and channel: how many events make the step there, the means of the value
    before the layer, of both changes and of the value behind it, and whose change is the larger in the
    direction of the step."""
    parts = [_sums(block.astype(np.float64)) for block in event_blocks(sweep, COLUMNS)]
    sums = pd.concat(parts).groupby(KEYS, as_index=False).sum()
    events = sums["events"].to_numpy()
    means = {name: sums[name] / events for name in ("before", "attention", "MLP")}
    sign = np.where(sums["step"] == "up", 1.0, -1.0)
    behind = sum(means.values())
    # A step up goes away from 0 towards the value behind; a step down towards 0.
    toward = sign * np.sign(np.where(sums["step"] == "up", behind, means["before"]))
    by_attention = toward * means["attention"] > toward * means["MLP"]
    return sums[KEYS].assign(
        events=events,
        before=means["before"],
        attention=means["attention"],
        MLP=means["MLP"],
        behind=behind,
        by=np.where(by_attention, "attention", "MLP"),
    )


def _sums(block: pd.DataFrame) -> pd.DataFrame:
    """The embedding makes no step: what it writes was never anything else."""
    behind = block["value"] + block["next_attention_update"] + block["next_mlp_update"]
    is_up = (block["layer"] > 0) & (block["value"].abs() >= STEP * block["before"].abs())
    is_down = behind.abs() * STEP <= block["value"].abs()  # not of the last layer: NaN
    up = pd.DataFrame(
        {
            "step": "up",
            "layer": block["layer"],
            "channel": block["channel"],
            "before": block["before"],
            "attention": block["attention_update"],
            "MLP": block["mlp_update"],
        }
    )[is_up]
    down = pd.DataFrame(
        {
            "step": "down",
            "layer": block["layer"] + 1,
            "channel": block["channel"],
            "before": block["value"],
            "attention": block["next_attention_update"],
            "MLP": block["next_mlp_update"],
        }
    )[is_down]
    both = pd.concat([up, down]).assign(events=1)
    both[["layer", "channel"]] = both[["layer", "channel"]].astype(np.int64)
    return both.groupby(KEYS, as_index=False).sum()
