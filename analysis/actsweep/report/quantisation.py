"""Sections on what a quantiser asks of the sites."""

from __future__ import annotations

from collections.abc import Sequence

from ..results import quantisation as results
from ..results.sites import sites_of
from .content import Model, Section, of_models
from .panels import LAYER, Axis, curves, map_of

KEY = "The job key `[statistics] quantisation = true` makes it."
QUANTILES_KEY = "The job key `[statistics] channel_quantiles = true` makes it."
FORMATS_KEY = 'The job key `[statistics] formats = ["mxfp4", …]` makes it.'


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
    having = _having(section, models, "kurtosis_sum", "kurtosis of tokens, signed ranges and blocks", KEY)
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
    section.table(
        "largest_tokens",
        f"The {results.CHANNELS_SHOWN} channels with the largest magnitudes of each site and layer, and the"
        " first token that has each, ⟦so⟧ in the text around it.",
        of_models(having, results.largest_tokens),
        "/SITE/channel_max_magnitude",
        "/SITE/channel_max_token",
        "/tokens",
        "/vocabulary",
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


def channel_quantiles(models: Sequence[Model]) -> Section:
    """How large channels are most of the time."""
    section = Section(
        "channel_quantiles",
        "Quantiles by channel",
        "Of each site and layer the channel whose magnitudes are largest, by the 99 % quantile over"
        " tokens: a channel that is always large has a large median, one with single massive values a"
        " small one. Quantiles are lower edges of quarter octaves: at most a factor of 2^(1/4) too low.",
    )
    having = _having(section, models, "channel_histogram", "quantiles by channel", QUANTILES_KEY)
    frame = of_models(having, results.channel_quantiles)
    sources = ("/SITE/channel_histogram", "/SITE/channel_max_magnitude", "/quarter_octave")
    section.picture(
        "largest_channel",
        "99 % quantile of the channel where it is largest, by layer and site.",
        lambda: curves(frame, LAYER, Axis(results.TYPICAL, "99 % quantile of |x|", True), "site"),
        frame,
        *sources,
    )
    section.table(
        "channel_quantiles_table",
        "The largest channel by site and layer, its quantiles, and those of the channel in the middle.",
        frame,
        *sources,
    )
    return section


def formats(models: Sequence[Model]) -> Section:
    """What activations lose in formats of low precision."""
    section = Section(
        "formats",
        "Formats of low precision",
        "SQNR = 10 log₁₀(Σx² / Σ(x − x̂)²) in dB over tokens and channels, x̂ the activation in the format:"
        " INT8 and FP8 with a scale for each token, MXFP8 and MXFP4 (OCP Microscaling Formats v1.0), and"
        " NVFP4 with a token's second scale.",
    )
    having = _having(section, models, "format_square", "errors of formats", FORMATS_KEY)
    noise = of_models(having, results.format_noise)
    sources = ("/SITE/format_error_square", "/SITE/format_square")
    maps = noise.assign(panel=noise["model"] + ", " + noise["format"]) if len(noise) else noise
    section.picture(
        "format_noise",
        "SQNR of each format by site and layer: higher is better.",
        lambda: map_of(maps, "site", "layer", "SQNR, dB", "SQNR, dB"),
        maps,
        *sources,
    )
    section.table("format_noise_table", "SQNR by site, layer and format.", noise, *sources)
    return section


def _having(
    section: Section, models: Sequence[Model], dataset: str, what: str, key: str
) -> list[Model]:
    """The models of which any site has the dataset; notes the others as lacking `what`."""
    found = []
    for model in models:
        if any(model.sweep.has(f"{name}/{dataset}") for name in sites_of(model.sweep)):
            found.append(model)
        else:
            section.lacking(model, what, key)
    return found
