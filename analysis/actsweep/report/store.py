"""The section on stored activations."""

from __future__ import annotations

from collections.abc import Sequence

from ..results.stored_rows import ROWS_READ, stored_rows
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves

KEY = 'The job key `[store] sites = ["residual", …]` makes it.'


def stored(models: Sequence[Model]) -> Section:
    """What lies in the store for other programs."""
    section = Section(
        "store",
        "Store: activations of sampled tokens",
        "Whole rows of a sample of tokens, for dictionaries and probes: `sweep.store(SITE)` reads them,"
        " `python -m actsweep export safetensors` writes them in shards. Where a massive activation is"
        f" among a layer's rows, one channel has nearly all of their square. Of at most {ROWS_READ:,} rows.",
    )
    having = section.having(models, "store", "stored activations", KEY)
    frame = of_models(having, stored_rows)
    sources = ("/store/token", "/store/stored_layer", *_datasets(having))
    section.picture(
        "store_share",
        "Share of a row's square that its largest channel has, median over rows.",
        lambda: curves(frame, LAYER, Axis("share of the largest channel", "share"), "site"),
        frame,
        *sources,
    )
    section.table("store_rows", "What is stored, by site and layer.", frame, *sources)
    return section


def _datasets(models: Sequence[Model]) -> list[str]:
    return sorted({f"/store/{site}" for model in models for site in model.sweep.stored})
