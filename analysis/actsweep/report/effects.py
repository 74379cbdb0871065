"""Sections on constancy and necessity: values at massive places, and what changing them does."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd

from ..results import constancy as constancies
from ..results import interventions as results
from .content import Model, Section, of_models
from .location import RESIDUAL, RESIDUAL_KEY
from .panels import Axis, curves, dots

CHANNELS_DRAWN = 2
VARIANTS_KEY = (
    '`[[intervention]]` tables with `variant = "NAME"` and `[statistics] loss = true` make it.'
)
LOSS_KEY = "The job key `[statistics] loss = true` makes it."


def constancy(models: Sequence[Model]) -> Section:
    """Mean, deviation and coefficient of variation at massive places."""
    section = Section(
        "constancy",
        "Constancy of the values",
        "The signed value at each (layer, channel) with events, over all tokens of a class from"
        " the class sums; CV is the standard deviation over the magnitude of the mean. Position 0"
        " and every other position stand apart. Where a BOS stands at position 0 it sees nothing"
        " but itself, so its value is constant by construction: those rows are marked trivial.",
    )
    having = section.having(models, "residual", RESIDUAL, RESIDUAL_KEY)
    frame = of_models(having, constancies.constancy)
    sources = ("/residual/class_count", "/residual/class_sum", "/residual/class_sum_square")
    section.table(
        "constancy",
        "Values at massive places by token class, with the count of events beside.",
        frame,
        *sources,
        "/massive",
    )
    drawn = _drawn(frame)
    section.picture(
        "constancy_by_layer",
        f"Mean ± standard deviation of the value in the {CHANNELS_DRAWN} channels with most events,"
        " in their layers with events, at position 0 (images: the class token) and elsewhere.",
        lambda: curves(
            drawn, Axis("layer", "layer"), Axis("mean", "signed value"), "where", ("low", "high")
        ),
        drawn,
        *sources,
    )
    return section


def _drawn(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the most frequent channels: the first class, and all others together."""
    if frame.empty:
        return frame
    by_channel = frame.groupby(["model", "channel"])["events"].sum()
    top = by_channel.sort_values(ascending=False, kind="stable").groupby("model")
    chosen = set(top.head(CHANNELS_DRAWN).index)
    first = frame.groupby("model")["tokens"].transform("first")
    classes = (frame["tokens"] == first) | (frame["tokens"] == constancies.REST)
    pairs = pd.Series(list(zip(frame["model"], frame["channel"], strict=True)), index=frame.index)
    rows = frame[classes & pairs.isin(chosen)]
    where = "channel " + rows["channel"].astype(str) + ", " + rows["tokens"]
    return rows.assign(where=where, low=rows["mean"] - rows["std"], high=rows["mean"] + rows["std"])


def _across_files(models: Sequence[Model]) -> pd.DataFrame:
    """Sweeps of intervened models against the sweep of the same model and corpus as it is."""
    rows = [
        {"model": changed.label, "against": original.label}
        | results.effect_between(original.sweep, changed.sweep)
        for original, changed in itertools.permutations(models, 2)
        if results.are_paired(original.sweep, changed.sweep)
    ]
    return pd.DataFrame(rows)


def interventions(models: Sequence[Model]) -> Section:
    """Perplexities of variants, paired with the original."""
    section = Section(
        "interventions",
        "Interventions: what the loss says",
        "Perplexity of the model as it is and with activations changed: set to zero, to their mean,"
        " and controls that change others in the same way. The perplexity over tokens is"
        " exp(Σ loss / targets); the mean of windows is exp of the mean of window means, as in the"
        " authors' code. The difference is paired: the loss of each token with the change less"
        " without it.",
    )
    section.table(
        "interventions_overwritten",
        "What the jobs overwrite: tokens matched, summed over layers, and activations changed.",
        of_models(
            [model for model in models if model.sweep.has("interventions")], results.overwritten
        ),
        "/interventions/matched_tokens",
        "/interventions/changed_activations",
        "root attribute job",
    )
    section.table(
        "interventions_across_files",
        "Files of an intervened model against the file of the same model and corpus as it is.",
        _across_files(models),
        "/loss/token_nll",
        "root attribute intervention",
    )
    having = section.having(models, "variants", "variants under intervention", VARIANTS_KEY)
    having = section.having(having, "loss", "the loss of the original", LOSS_KEY)
    frame = of_models(having, lambda sweep: results.effects(sweep))
    sums = tuple(f"/variants/{name}" for name in results.SUMS)
    section.table(
        "interventions",
        "The original and its variants.",
        frame,
        *sums,
        "/variants/token_nll",
        "/variants/matched_tokens",
        "/variants/changed_activations",
        "/loss",
    )
    section.picture(
        "intervention_perplexity",
        "Perplexity over tokens of the original and of each variant.",
        lambda: dots(frame, "variant", Axis("perplexity", "perplexity", True)),
        frame,
        *sums[:2],
        "/loss/nll_sum",
    )
    if "difference, nats" in frame:
        paired = frame[frame["variant"] != results.ORIGINAL]
        paired = paired.assign(bar=2 * paired["its standard error"])
        section.picture(
            "intervention_difference",
            "Paired difference of the loss, mean over tokens ± 2 standard errors.",
            lambda: dots(paired, "variant", Axis("difference, nats", "difference, nats"), "bar"),
            paired,
            "/variants/token_nll",
            "/loss/token_nll",
        )
    return section
