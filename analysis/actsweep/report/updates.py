"""Section on who writes massive activations."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..results import updates as results
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves


def writers(models: Sequence[Model]) -> Section:
    """Which branch makes the steps up and down."""
    section = Section(
        "updates",
        "Who writes massive activations, and who removes them",
        "A step up is a layer that at least doubles a massive activation's magnitude, a step down one"
        " that at least halves it (step-up and step-down blocks, arXiv 2603.05498; arXiv 2605.08504)."
        " Attention and MLP are what each has changed of the value, behind norms and factors; the"
        " step is by the branch that changed more in its direction.",
    )
    key = "The job key `[statistics] event_updates = true` makes it."
    having = section.having(models, "massive/before", "updates of events", key)
    frame = of_models(having, results.steps)
    sources = (
        "/massive/before",
        "/massive/attention_update",
        "/massive/mlp_update",
        "/massive/next_attention_update",
        "/massive/next_mlp_update",
        "/massive/value",
    )
    section.picture(
        "steps_by_branch",
        "Events that step up or down at a layer, by who caused it.",
        lambda: curves(
            by_layer(frame), LAYER, Axis("events", "events", log=True), "step and branch"
        ),
        by_layer(frame),
        *sources,
    )
    section.table(
        "writers",
        "Steps by layer and channel: means over events of the value before the layer, of what each"
        " branch changed, and of the value behind it.",
        frame,
        *sources,
    )
    return section


def by_layer(frame: pd.DataFrame) -> pd.DataFrame:
    """Events by model, direction, branch and layer."""
    if not len(frame):
        return pd.DataFrame()
    sums = frame.groupby(["model", "step", "by", "layer"], as_index=False)["events"].sum()
    return sums.assign(**{"step and branch": sums["step"] + ", by " + sums["by"]})
