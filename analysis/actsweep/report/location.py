"""Sections on where massive activations are: layers, pictures of prompts, tokens, channels."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..labels import number_label
from ..pictures import largest_layer, layer_curve, magnitude_3d
from ..results import location
from ..sweep import Sweep
from .content import Model, Section, of_models
from .panels import Axis, curves, overlaid

RESIDUAL_KEY = 'The job key `[statistics] sites = ["residual"]` makes it.'
RESIDUAL = "statistics of the residual stream"
POSITIONS_DRAWN = 16


def files(models: Sequence[Model]) -> Section:
    """What was swept."""
    section = Section(
        "files",
        "Files",
        "What each file was made from. Layers are numbered as in the paper (arXiv 2402.17762): 0 is"
        " the embedding output, l the output of block l. Medians are lower medians of magnitudes."
        " Tables sort on a click on a heading; every number is in a CSV file beside the page.",
    )
    section.table(
        "files",
        "The sweep files. Events left out are beyond the job's `max_events` of a layer and"
        " sequence.",
        of_models(models, _facts),
        "root attributes",
        "/sequences/length",
        "/massive/events_left_out",
        "/residual/nonfinite_tokens",
    )
    interventions = of_models(
        [model for model in models if "intervention" in model.sweep.attributes],
        lambda sweep: pd.DataFrame(
            {"intervention": [str(sweep.attributes["intervention"]).strip()]}
        ),
    )
    caption = "These sweeps are of models whose activations were changed while they ran."
    section.table("interventions_of_files", caption, interventions, "root attribute intervention")
    return section


def _facts(sweep: Sweep) -> pd.DataFrame:
    attributes, criterion = sweep.attributes, sweep.criterion
    facts = {
        "file": sweep.path.name,
        "family": attributes["model_family"],
        "layers": attributes["num_layers"],
        "channels": attributes["hidden_size"],
        "sequences": sweep.sequences.sizes["sequence"],
        "tokens": int(sweep.sequences["length"].astype("int64").sum()),
        "position 0": "BOS" if sweep.starts_with_bos else "as in the corpus",
        "computed in": attributes["dtype"],
        "massive is": f"> {number_label(criterion.magnitude)},"
        f" ≥ {number_label(criterion.ratio)} × median",
        "events left out": int(sweep.events_left_out.sum()) if sweep.has("massive") else np.nan,
        "perplexity": np.nan if sweep.perplexity is None else sweep.perplexity,
        "non-finite tokens": int(sweep.residual["nonfinite_tokens"].max())
        if sweep.has("residual")
        else np.nan,
        "created": attributes["created"],
        "model fingerprint": str(attributes["model_fingerprint"])[:12],
        "corpus fingerprint": str(attributes["corpus_fingerprint"])[:12],
    }
    return pd.DataFrame([facts])


def existence(models: Sequence[Model]) -> Section:
    """The paper's Table 1, by each reading of the criterion, and the layer curves."""
    section = Section(
        "existence",
        "Existence: the largest magnitudes",
        "An activation is massive if its magnitude is above 100 and at least 1,000 times a median"
        " (the job may set other numbers). Three readings of “median” are kept apart: over the"
        " tokens and channels of the sequence (the authors' code), over the channels of the token"
        " (arXiv 2605.15572), and over the corpus in that layer. The rows show the layer whose"
        " largest magnitude is largest: for the first two readings the mean over sequences of their"
        " largest activations, for the third the largest channels over the corpus.",
    )
    having = section.having(models, "residual", RESIDUAL, RESIDUAL_KEY)
    by_layer = of_models(having, location.layer_curves)
    tables = of_models(
        having, lambda sweep: location.existence(sweep, location.layer_curves(sweep))
    )
    section.table(
        "existence",
        "Largest magnitudes, median and what is massive (the form of the paper's Table 1)."
        " Activations and pairs are counted over all layers, among the events that the file keeps.",
        tables,
        "/residual/sequence_top_value",
        "/residual/sequence_median_magnitude",
        "/residual/token_median_magnitude",
        "/residual/channel_max_magnitude",
        "/residual/magnitude_histogram",
        "/massive",
        "/massive_corpus",
    )
    sources = ("/residual/sequence_top_value", "/residual/sequence_median_magnitude")
    if len(having) > 1:
        ys = (Axis("top 1", "largest magnitude", True), Axis("median", "median magnitude", True))
        section.picture(
            "layer_curves_by_depth",
            "Largest and median magnitude of a sequence (mean over sequences) by relative depth:"
            " layer over the number of layers.",
            lambda: overlaid(by_layer, Axis("depth", "depth (0: embedding, 1: last layer)"), ys),
            by_layer,
            *sources,
        )
    for index, model in enumerate(having):
        section.picture(
            f"layer_curve_{index + 1}",
            f"{model.label}: largest magnitudes and median by layer, mean ± standard deviation over"
            " sequences.",
            functools.partial(layer_curve, model.sweep),
            by_layer[by_layer["model"] == model.label],
            *sources,
        )
    return section


def steps(models: Sequence[Model]) -> Section:
    """Where magnitudes appear and go."""
    section = Section(
        "steps",
        "Steps between neighbouring layers",
        "Layers between which the largest magnitude of a sequence (mean over sequences) grows or"
        f" falls by a factor of {location.STEP_FACTOR:g} or more: massive activations appear within"
        " one layer and go within one of the last.",
    )
    having = section.having(models, "residual", RESIDUAL, RESIDUAL_KEY)
    frame = of_models(having, lambda sweep: location.steps(sweep, location.layer_curves(sweep)))
    section.table(
        "steps",
        "Steps up and down; “massive” says whether a layer has events by either reading.",
        frame,
        "/residual/sequence_top_value",
        "/massive/layer",
    )
    return section


def magnitudes(models: Sequence[Model]) -> Section:
    """The paper's 3-D plots."""
    section = Section(
        "magnitudes",
        "Magnitudes of a prompt, token by channel",
        "The magnitude of each activation of a prompt in the layer that has the largest one.",
    )
    key = 'The job key `[capture] prompts = ["NAME"]` makes it.'
    stream_key = 'The job key `[capture] sites = ["residual"]` makes it.'
    for index, model in enumerate(section.having(models, "capture", "a captured prompt", key)):
        held = model.sweep.captured("residual")
        if not held:
            section.lacking(model, "the residual stream of a captured prompt", stream_key)
        for prompt in held:
            section.picture(
                f"magnitude_3d_{index + 1}_{prompt}",
                f"{model.label}, prompt “{prompt}”. The table of numbers has a row per token.",
                functools.partial(magnitude_3d, model.sweep, prompt),
                _magnitudes(model.sweep, prompt),
                f"/capture/{prompt}/residual",
            )
    return section


def _magnitudes(sweep: Sweep, prompt: str) -> pd.DataFrame:
    capture = sweep.capture(prompt)
    values = np.abs(capture["residual"].isel(layer=largest_layer(capture)).values)
    frame = pd.DataFrame(values, columns=[f"channel {c}" for c in range(values.shape[1])])
    frame.insert(0, "token", [repr(text) for text in sweep.decode_each(capture["id"].values)])
    return frame


def tokens(models: Sequence[Model]) -> Section:
    """At which tokens and positions."""
    section = Section(
        "tokens",
        "Positions and tokens",
        "Where events (of either reading in `/massive`) lie: at which position in the window, at"
        " which tokens, and of which class. The same token counts once per layer and channel. A job"
        " keeps `max_events` of each layer and sequence, the largest; the table of files says how"
        " many more there were.",
    )
    having = section.having(models, "massive", "the table of massive activations", RESIDUAL_KEY)
    positions = of_models(having, location.massive_positions)
    section.table(
        "massive_tokens",
        "Tokens with massive activations, most events first.",
        of_models(having, location.massive_tokens),
        "/massive/token_id",
        "/massive/class",
        "/massive/position",
        "/massive/value",
        "/vocabulary",
    )
    early = positions[positions["position"] < POSITIONS_DRAWN] if len(positions) else positions
    section.picture(
        "massive_positions",
        f"Share of a model's events at the first {POSITIONS_DRAWN} positions, by token class.",
        lambda: curves(
            early,
            Axis("position", "position in the window"),
            Axis("share of events", "share"),
            "class",
        ),
        early,
        "/massive/position",
        "/massive/class",
    )
    section.table(
        "massive_positions_all",
        "Events by position and class.",
        positions,
        "/massive/position",
        "/massive/class",
    )
    return section


def channels(models: Sequence[Model]) -> Section:
    """In which channels, by token class."""
    section = Section(
        "channels",
        "Channels by token class",
        "Events of each layer and channel by the class of their token, with mean and standard"
        " deviation of their signed values. These are over events alone, so the threshold cuts off"
        " small values; the next section has all tokens of a class.",
    )
    having = section.having(models, "massive", "the table of massive activations", RESIDUAL_KEY)
    section.table(
        "massive_channels",
        "Events by layer, channel and class.",
        of_models(having, location.massive_by_class),
        "/massive/layer",
        "/massive/channel",
        "/massive/class",
        "/massive/value",
    )
    return section
