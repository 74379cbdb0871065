"""Sections around the residual stream: outliers, super weights, kurtosis, experts, registers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..results import model_parts, sites
from ..sweep import Sweep
from .content import Model, Section, of_models
from .panels import Axis, curves

SITES_KEY = 'More sites come with `[statistics] sites = ["residual", "attention_input", …]`.'


def _with_sites(section: Section, models: Sequence[Model]) -> list[Model]:
    """The models that measured any site; notes those that measured the residual stream alone."""
    alone = [model for model in models if sites.sites_of(model.sweep) == ["residual"]]
    section.having(alone, "attention_input", "sites other than the residual stream", SITES_KEY)
    return [model for model in models if sites.sites_of(model.sweep)]


def outliers(models: Sequence[Model]) -> Section:
    """Outlier features by two rules."""
    section = Section(
        "outliers",
        "Outlier features",
        "Two rules. LLM.int8() (arXiv 2208.07339): channels with |x| ≥ 6 in at least"
        f" {sites.SHARE_OF_TOKENS:.0%} of tokens, over all layers, and in at least"
        f" {sites.SHARE_OF_LAYERS:.0%} of layers. Six deviations (arXiv 2306.12929): channels whose"
        " largest magnitude passes 6 standard deviations of the layer over tokens and channels.",
    )
    having = _with_sites(section, models)
    features = of_models(having, sites.outlier_features)
    sources = ("/SITE/channel_count_above_6", "/SITE/count", "/SITE/channel_max_magnitude")
    section.table(
        "outlier_counts",
        "How many channels of each site pass the rule of LLM.int8().",
        of_models(having, _outlier_counts),
        *sources[:2],
    )
    section.table(
        "outlier_features", "Outlier features by the rule of LLM.int8().", features, *sources
    )
    deviations = of_models(having, sites.beyond_deviations)
    sources = tuple(
        f"/SITE/{name}"
        for name in ("channel_max_magnitude", "channel_sum", "channel_sum_square", "count")
    )
    section.picture(
        "outlier_deviations",
        "Largest magnitude of each layer in standard deviations of that layer, by site.",
        lambda: curves(
            deviations,
            Axis("layer", "layer"),
            Axis("largest, in deviations", "largest, in deviations", True),
            "site",
        ),
        deviations,
        *sources,
    )
    section.table(
        "outlier_deviations_table",
        "Channels beyond six standard deviations, by site and layer; the largest are named.",
        deviations,
        *sources,
    )
    return section


def _outlier_counts(sweep: Sweep) -> pd.DataFrame:
    return sites.outlier_counts(sweep, sites.outlier_features(sweep))


def super_weights(models: Sequence[Model]) -> Section:
    """Weights that make massive activations."""
    section = Section(
        "super_weights",
        "Super weights",
        "In each layer the largest input (neuron k) and output (channel j) of the MLP's down"
        f" projection, with its weight W[j,k], where a magnitude is above"
        f" {model_parts.SUPER_MAGNITUDE:g} (arXiv 2411.07191).",
    )
    key = 'The job key `[statistics] sites = ["residual", "mlp_hidden", "mlp_output"]` makes it.'
    having = section.having(models, "super_weights", "down projections' extremes", key)
    section.table(
        "super_weights",
        "Layers with a super weight's input or output.",
        of_models(having, model_parts.super_weights),
        *(f"/super_weights/{name}" for name in ("neuron", "input", "channel", "output", "weight")),
    )
    return section


def kurtosis(models: Sequence[Model]) -> Section:
    """How uneven channels are."""
    section = Section(
        "kurtosis",
        "Kurtosis of the channels",
        "C · Σ s⁴ / (Σ s²)² with s the RMS of a channel over tokens: 1 where all C channels are"
        " alike, C where one carries everything.",
    )
    frame = of_models(_with_sites(section, models), sites.kurtosis)
    sources = ("/SITE/channel_sum_square", "/SITE/count")
    section.picture(
        "kurtosis",
        "Kurtosis of the channels' RMS by layer and site.",
        lambda: curves(frame, Axis("layer", "layer"), Axis("kurtosis", "kurtosis", True), "site"),
        frame,
        *sources,
    )
    section.table("kurtosis_table", "Kurtosis by site and layer.", frame, *sources)
    return section


def experts(models: Sequence[Model]) -> Section:
    """Routing of tokens to experts."""
    section = Section(
        "experts",
        "Experts",
        "How many tokens chose each expert, and its largest output before its weight. An expert"
        " that no token chose is never routed: its output was not measured, and is not zero. Saliency"
        " is the mean over an expert's tokens of its weight times the norm of its output (REAP, arXiv"
        " 2510.13999). A super expert's largest output passes the 99.5th percentile of all experts and"
        " a tenth of the largest, in the first three quarters of the layers (arXiv 2507.23279).",
    )
    key = "The job key `[statistics] experts = true` makes it, for models with experts."
    having = section.having(models, "experts", "counts of experts", key)
    sources = ("/experts/token_count", "/experts/max_output")
    by_layer = of_models(having, _experts_by_layer)
    section.table("experts_by_layer", "Experts by layer.", by_layer, *sources)
    section.table("super_experts", "Super experts.", of_models(having, _super_experts), *sources)
    with_rows = [model for model in having if model.sweep.has("experts/token_experts")]
    section.table(
        "experts_of_first_tokens",
        "The experts of the first token of each window, beside those of the other tokens.",
        of_models(with_rows, model_parts.experts_of_first_tokens),
        "/experts/token_experts",
        "/experts/token_gates",
        "/tokens/position",
    )
    sums = ("/experts/gate_sum", "/experts/weighted_norm_sum")
    each = of_models(having, model_parts.experts)
    section.table("experts", "Each expert.", each, *sources, *sums)
    return section


def _super_experts(sweep: Sweep) -> pd.DataFrame:
    return model_parts.super_experts(
        model_parts.experts(sweep), int(sweep.attributes["num_layers"])
    )


def _experts_by_layer(sweep: Sweep) -> pd.DataFrame:
    return model_parts.experts_by_layer(model_parts.experts(sweep))


def registers(models: Sequence[Model]) -> Section:
    """Register tokens of Vision Transformers."""
    section = Section(
        "registers",
        "Registers of Vision Transformers",
        "Mean of each register token over images, the values that Fix-Reg-Mean puts in its place:"
        " the norm of the mean against the spread √(Σ_c std²) around it, and its largest channel.",
    )
    key = "Sweeps of images through models with register tokens have it."
    having = section.having(models, "registers", "register tokens", key)
    frame = of_models(having, model_parts.registers)
    sources = ("/registers/count", "/registers/sum", "/registers/sum_square")
    if len(frame):
        frame["series"] = "register " + frame["register"].astype(str)
    section.picture(
        "registers",
        "Norm of the mean register by layer.",
        lambda: curves(
            frame, Axis("layer", "layer"), Axis("norm of the mean", "norm", True), "series"
        ),
        frame,
        *sources,
    )
    section.table(
        "registers_table", "Registers.", frame.drop(columns="series", errors="ignore"), *sources
    )
    return section
