"""Sections on the attention that tokens receive, and on the sizes of scores."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import second_look as results
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves, map_of


def received(models: Sequence[Model]) -> Section:
    """Which tokens draw attention, whatever set they are of."""
    section = Section(
        "attention_received",
        "Attention received: which tokens are sinks",
        "What a token receives is the mean of the attention to it over the other queries that see it"
        " (arXiv 2512.22213). The key that a head attends to most is sought in the first half of"
        " each window. One that is not at position 0 is a secondary sink.",
    )
    key = "The job key `[statistics] attention_received = true` makes it."
    having = section.having(models, "attention_received", "attention received", key)
    tops = of_models(having, results.top_keys)
    sources = ("/attention_received/top_position", "/attention_received/top_mean")
    section.picture(
        "sinks_at_position_0",
        "Share of windows and heads whose most attended key is at position 0.",
        lambda: curves(
            tops.assign(series="position 0"), LAYER, Axis("at position 0", "share"), "series"
        ),
        tops,
        *sources,
    )
    section.table("most_attended_keys", "The most attended key of windows and heads.", tops, *sources)
    with_rows = [m for m in having if m.sweep.has("attention_received/token_mean")]
    with_rows = [m for m in with_rows if "token" in m.sweep.group("attention_received").sizes]
    layers = of_models(with_rows, results.received_by_layer)
    rows = ("/attention_received/token_mean", "/attention_received/token_largest_head")
    section.picture(
        "received_by_layer",
        "What the token at position 0 receives, and the most that any other receives.",
        lambda: curves(layers, LAYER, Axis("received", "mean attention received"), "token"),
        layers,
        *rows,
        "/tokens/position",
    )
    section.table(
        "secondary_sinks",
        "The tokens beyond position 0 that receive most, each in the layer where it does.",
        of_models(with_rows, results.secondary_sinks),
        *rows,
        "/tokens/id",
    )
    return section


def scores(models: Sequence[Model]) -> Section:
    """The largest scores and norms."""
    section = Section(
        "scores",
        "Sizes of scores",
        "The largest score of each head over all queries and the keys that they see, as it enters the"
        " softmax (QK-Clip, arXiv 2507.20534), the positions of its query and key, and the largest"
        " norm of the head's queries.",
    )
    key = "The job key `[statistics] score_extrema = true` makes it."
    having = section.having(models, "scores", "largest scores", key)
    heads = of_models(having, results.largest_scores)
    layers = of_models(
        having, lambda sweep: results.largest_by_layer(results.largest_scores(sweep))
    )
    sources = tuple(
        f"/scores/{name}" for name in ("largest", "query_position", "key_position", "query_norm")
    )
    section.picture(
        "largest_scores_by_layer",
        "The largest score of each layer.",
        lambda: curves(layers.assign(series="score"), LAYER, Axis("score", "score"), "series"),
        layers,
        *sources,
    )
    maps = heads.assign(panel=heads["model"]) if len(heads) else heads
    section.picture(
        "largest_scores_by_head",
        "The largest score of each head.",
        lambda: map_of(maps, "layer", "head", "score", "largest score"),
        maps,
        *sources,
    )
    section.table("largest_scores", "The head with the largest score of each layer.", layers, *sources)
    return section
