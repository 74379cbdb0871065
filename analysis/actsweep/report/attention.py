"""Sections on attention to sets of keys, sinks, entropy and the norms of values."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..results import attention as results
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves, map_of

KEY = 'The job key `[statistics] attention = ["position:0"]` makes it.'
WHAT = "attention statistics"
BAND = ("least", "most")


def to_sets(models: Sequence[Model]) -> Section:
    """How much attention the sets of keys draw, layer by layer."""
    section = Section(
        "attention",
        "Attention to sets of keys",
        "Mean over queries of the attention to a set C, Σ_{j∈C} A[h,i,j], over the queries outside"
        " C that see all of it; the score is the mean over the set of scaled query–key products."
        " Attention drawn to the massive tokens only after they appear shows as a rise behind the"
        " step in the layer curve.",
    )
    having = section.having(models, "attention", WHAT, KEY)
    heads = of_models(having, results.attention_to_sets)
    layers = of_models(
        having, lambda sweep: results.attention_by_layer(results.attention_to_sets(sweep))
    )
    sources = ("/attention/mass_sum", "/attention/logit_sum", "/attention/query_count")
    section.picture(
        "attention_by_layer",
        "Attention to each set by layer: mean over heads, and the range from the least to the most"
        " of a head.",
        lambda: curves(layers, LAYER, Axis("attention", "attention to the set"), "key set", BAND),
        layers,
        *sources,
    )
    section.table(
        "attention_by_layer_table",
        "Attention and score over the heads of a layer, with the number of queries and keys.",
        layers,
        *sources,
        "/attention/key_count",
    )
    maps = heads.assign(panel=heads["model"] + ": " + heads["key set"]) if len(heads) else heads
    section.picture(
        "attention_by_head",
        "Attention of each head to each set.",
        lambda: map_of(maps, "layer", "head", "attention", "attention to the set"),
        maps,
        *sources,
    )
    return section


def sinks(models: Sequence[Model]) -> Section:
    """The sink metric."""
    section = Section(
        "sinks",
        "Attention sinks",
        "α₀ of a sequence, layer and head is the mean over queries of the attention to position 0,"
        " its own row included. The metric is the share of sequences, layers and heads with α₀ > ε"
        " (arXiv 2410.10781), over whole windows and over the first 64 tokens of each.",
    )
    having = section.having(models, "attention", WHAT, KEY)
    shares = of_models(having, results.sink_shares)
    sources = tuple(
        f"/attention/sink_{name}{suffix}"
        for suffix in ("", "_64")
        for name in ("count", "sequences")
    )
    section.table(
        "sink_metric",
        "The sink metric: mean over sequences, layers and heads.",
        of_models(having, lambda sweep: results.sink_metric(results.sink_shares(sweep))),
        *sources,
    )
    drawn = shares.assign(series=_series(shares)) if len(shares) else shares
    section.picture(
        "sink_shares",
        "Share of sequences and heads that sink to position 0, by layer and ε.",
        lambda: curves(drawn, LAYER, Axis("share", "share of sequences and heads"), "series"),
        drawn,
        *sources,
        "/epsilon",
    )
    _over_heads(
        section,
        having,
        "attention to position 0",
        "sink_attention",
        "Mean attention to position 0, its own row included",
        ("/attention/sink_sum", "/attention/sink_sequences"),
    )
    return section


def _series(shares: pd.DataFrame) -> pd.Series:
    return "ε = " + shares["epsilon"].map("{:g}".format) + ", " + shares["window"]


def entropy(models: Sequence[Model]) -> Section:
    """Entropy of attention."""
    section = Section(
        "entropy",
        "Entropy of attention",
        "Mean over queries of the entropy of their attention over log n, the largest that n visible"
        " slots allow (a learned sink or k′ is a slot too): 1 where attention is even, 0 where one"
        " key has all. Queries with one slot are left out.",
    )
    having = section.having(models, "attention", WHAT, KEY)
    _over_heads(
        section,
        having,
        "entropy",
        "entropy",
        "Entropy over its maximum",
        ("/attention/entropy_sum", "/attention/entropy_rows"),
    )
    return section


def _over_heads(
    section: Section,
    having: Sequence[Model],
    column: str,
    name: str,
    caption: str,
    sources: tuple[str, ...],
) -> None:
    """A curve over layers and a map of heads of one column of `head_means`."""
    heads = of_models(having, results.head_means)
    layers = results.over_heads(heads, column, ["model", "layer"]) if len(heads) else heads
    layers = layers.assign(series=column)
    section.picture(
        f"{name}_by_layer",
        f"{caption}: mean over heads, and the range from the least to the most of a head.",
        lambda: curves(layers, LAYER, Axis("mean", column), "series", BAND),
        layers,
        *sources,
    )
    maps = heads.assign(panel=heads["model"]) if len(heads) else heads
    section.picture(
        f"{name}_by_head",
        f"{caption}, by layer and head.",
        lambda: map_of(maps, "layer", "head", column, column),
        maps,
        *sources,
    )


def value_norms(models: Sequence[Model]) -> Section:
    """The norm of the sets' values."""
    section = Section(
        "value_norms",
        "Norms of the values of a set",
        "Mean norm of the values of a set's keys over the mean norm of all values of the head:"
        " sinks are known to have small values.",
    )
    having = section.having(models, "attention", WHAT, KEY)
    ratios = of_models(having, results.value_norm_ratios)
    by = ["model", "key set", "layer"]
    layers = results.over_heads(ratios, "ratio", by) if len(ratios) else ratios
    sources = (
        "/attention/set_value_norm_sum",
        "/attention/key_count",
        "/attention/value_norm_sum",
        "/attention/token_count",
    )
    section.picture(
        "value_norms",
        "Value norm ratio: mean over key/value heads, and the range over them.",
        lambda: curves(layers, LAYER, Axis("mean", "‖v of the set‖ / ‖v‖"), "key set", BAND),
        layers,
        *sources,
    )
    section.table("value_norms_by_head", "Value norm ratio by head.", ratios, *sources)
    return section
