"""Sections on value updates, and on massive values in queries and keys."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import query_key as query_keys
from ..results import value_updates as updates
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves


def value_updates(models: Sequence[Model]) -> Section:
    """Whether attention to the sets adds a constant."""
    section = Section(
        "value_updates",
        "Value updates: is what a set adds constant?",
        "The value update of a set C is u_i = Σ_{j∈C} A[i,j] v_j, over the queries of the window's"
        " second half. Constancy is √(Σ‖u‖²/n − ‖Σu/n‖²) / ‖Σu/n‖: 0 where all queries get the same"
        " vector. Random tokens of the first half, as many as the set has, stand beside it. The"
        " share is the mean of the update's norm over that of the attention output.",
    )
    key = "The job key `[statistics] value_updates = true`, with sets in `attention`, makes it."
    having = section.having(models, "value_update", "value updates", key)
    projected = of_models(having, updates.after_projection)
    heads = of_models(having, updates.by_head)
    sources = tuple(f"/value_update/{name}" for name in ("query_count", "sum", "square_sum"))
    if len(projected):
        projected["series"] = projected["key set"] + ", " + projected["updates"]
    section.picture(
        "value_update_constancy",
        "Constancy of the value update after the output projection: lower is more constant.",
        lambda: curves(projected, LAYER, Axis("constancy", "spread over mean", True), "series"),
        projected,
        *sources,
    )
    share = (*sources[:1], "/value_update/share_sum")
    section.picture(
        "value_update_share",
        "Norm of the value update over that of the attention output.",
        lambda: curves(projected, LAYER, Axis("share", "share of the norm"), "series"),
        projected,
        *share,
    )
    section.table(
        "value_update_table",
        "Value updates after the output projection.",
        projected.drop(columns="series", errors="ignore"),
        *sources,
        *share[1:],
    )
    section.table(
        "value_update_heads",
        "Constancy of each head's value update, before the projection.",
        heads,
        "/value_update/query_count",
        "/value_update/head_sum",
        "/value_update/head_square_sum",
    )
    return section


def query_key(models: Sequence[Model]) -> Section:
    """Massive values in queries and keys."""
    section = Section(
        "query_key",
        "Massive values in queries and keys",
        "M[h,d] = ‖x[:,h,d]‖₂ over tokens, of queries and keys before and after rotary positions,"
        f" and of values as the control; massive if above {query_keys.FACTOR:g} times the mean over"
        " d (arXiv 2502.01563).",
    )
    key = "The job key `[statistics] query_key = true` makes it."
    having = section.having(models, "qk", "sums of squared queries and keys", key)
    layers = of_models(having, lambda sweep: query_keys.by_layer(query_keys.ratios(sweep)))
    sources = tuple(f"/qk/{name}" for name in query_keys.TENSORS.values())
    section.picture(
        "query_key",
        "Largest ratio of M[h,d] to its mean over d in each layer; massive is above"
        f" {query_keys.FACTOR:g}.",
        lambda: curves(layers, LAYER, Axis("largest ratio", "M over its mean"), "tensor"),
        layers,
        *sources,
    )
    section.table(
        "query_key_massive",
        "The massive values, largest ratio first.",
        of_models(having, lambda sweep: query_keys.massive(query_keys.ratios(sweep))),
        *sources,
    )
    return section
