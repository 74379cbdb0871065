"""The section on what a quantiser asks of the sites."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import quantisation as results
from ..results.sites import sites_of
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves

KEY = "The job key `[statistics] quantisation = true` makes it."


def quantisation(models: Sequence[Model]) -> Section:
    """How heavy the tails of tokens are, between which values channels lie, how large blocks are."""
    section = Section(
        "quantisation",
        "For quantisation: tails, ranges, blocks",
        "The excess kurtosis of a token is m₄ / m₂² − 3 of its values over channels (arXiv"
        " 2506.19697): 0 of normal values, about C where one of C channels carries everything."
        " Smallest and largest are signed values over tokens. Blocks are neighbouring channels that"
        " share a scale: 16 in NVFP4, 32 in the MX formats.",
    )
    having = [model for model in models if _has_any(model)]
    for model in models:
        if not _has_any(model):
            section.lacking(model, "kurtosis of tokens, signed ranges and blocks", KEY)
    tails = of_models(having, results.tails)
    kurtosis = tuple(f"/SITE/kurtosis_{name}" for name in ("count", "sum", "max"))
    section.picture(
        "token_kurtosis",
        "Mean excess kurtosis of tokens over channels, by layer and site.",
        lambda: curves(tails, LAYER, Axis("mean kurtosis", "mean excess kurtosis"), "site"),
        tails,
        *kurtosis,
    )
    section.table(
        "tails",
        "Kurtosis of tokens and signed ranges by site and layer.",
        tails,
        *kurtosis,
        "/SITE/channel_min",
        "/SITE/channel_max",
    )
    blocks = of_models(having, results.block_maxima)
    small = blocks[blocks["channels of a block"] == 16] if len(blocks) else blocks
    histograms = tuple(f"/SITE/block{size}_histogram" for size in results.BLOCKS)
    section.picture(
        "block_maxima",
        "Largest magnitude of blocks of 16 channels, its 99.99 % quantile by layer and site.",
        lambda: curves(small, LAYER, Axis("99.99 %", "largest magnitude", True), "site"),
        small,
        histograms[0],
    )
    section.table(
        "block_maxima_table",
        "Quantiles of the largest magnitude of blocks, by site and layer.",
        blocks,
        *histograms,
    )
    return section


def _has_any(model: Model) -> bool:
    return any(model.sweep.has(f"{name}/kurtosis_sum") for name in sites_of(model.sweep))
