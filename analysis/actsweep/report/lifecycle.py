"""Section on how channels live through the layers."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import lifecycle as results
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves


def lifecycles(models: Sequence[Model]) -> Section:
    """Where named channels rise and fall."""
    section = Section(
        "lifecycle",
        "Lifecycles: named channels at every layer",
        "Of each token with a massive activation in some layer: the named channels behind every layer,"
        " and what attention and MLP have changed of them there. Tokens with an event in the channel"
        " itself stand apart from those with events in other channels alone.",
    )
    key = "The job key `[statistics] lifecycle = true` makes it."
    having = section.having(models, "lifecycle", "lifecycles of channels", key)
    frame = of_models(having, results.by_layer)
    sources = (
        "/lifecycle/value",
        "/lifecycle/attention_update",
        "/lifecycle/mlp_update",
        "/tokens/row_token",
        "/massive/token",
        "/massive/channel",
    )
    if len(frame):
        series = "channel " + frame["channel"].astype(str) + ", " + frame["tokens"]
        drawn = frame.assign(**{"channel and tokens": series})
        section.picture(
            "lifecycles",
            "Mean value of each channel behind each layer.",
            lambda: curves(drawn, LAYER, Axis("mean", "mean value"), "channel and tokens"),
            drawn,
            *sources,
        )
    section.table(
        "lifecycles_by_layer",
        "By channel and layer: the value, and means of what attention and the MLP have changed.",
        frame,
        *sources,
    )
    return section
