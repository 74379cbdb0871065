"""The section of attention heat maps: a captured prompt, averaged over heads and head by head."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..labels import token_label
from ..results.attention import captured_maps, layer_means
from ..results.events import events_by
from ..results.frames import long_frame
from ..sweep import Sweep
from .content import Model, Section
from .panels import heat_maps

KEY = '`[capture] prompts = ["NAME"]` with `attention = true` makes it.'
LAYERS_DRAWN, HEADS_DRAWN, TOKENS_DRAWN = 6, 9, 96


def section_of(models: Sequence[Model]) -> Section:
    """Heat maps of each captured prompt of each model."""
    section = Section(
        "heat_maps",
        "Attention heat maps of prompts",
        "Attention probabilities of each query (row) on each key (column), averaged over heads for"
        f" up to {LAYERS_DRAWN} blocks, and by head in the block where one key draws most: the"
        f" {HEADS_DRAWN} heads whose favourite key draws most, as probabilities and as scores"
        f" before the softmax. Keys hidden from a query are white; of a long prompt the first"
        f" {TOKENS_DRAWN} tokens are drawn.",
    )
    for index, model in enumerate(models):
        prompts = [prompt for prompt in model.sweep.prompts if _is_captured(model.sweep, prompt)]
        if not prompts:
            section.having([model], "capture/…", "attention of a captured prompt", KEY)
        for prompt in prompts:
            _add_prompt(section, model, f"{index + 1}_{prompt}", prompt)
    return section


def _is_captured(sweep: Sweep, prompt: str) -> bool:
    """Whether the file has a prompt's attention, in some block."""
    if "attention" not in sweep.capture(prompt):
        return False
    return bool(np.nansum(layer_means(sweep, prompt, TOKENS_DRAWN)) > 0)


def _add_prompt(section: Section, model: Model, suffix: str, prompt: str) -> None:
    sweep = model.sweep
    ids = sweep.capture(prompt)["id"].values[:TOKENS_DRAWN]
    tokens = [f"{i} {token_label(text)}" for i, text in enumerate(sweep.decode_each(ids))]
    means = layer_means(sweep, prompt, TOKENS_DRAWN)
    blocks = {f"block {layer}": means[layer] for layer in _blocks(sweep, means)}
    strongest = int(np.nanargmax([_pull(one) for one in means]))
    probability, score = captured_maps(sweep, prompt, strongest, TOKENS_DRAWN)
    pulls = [_pull(one) for one in probability]
    heads = np.sort(np.argsort(-np.array(pulls), kind="stable")[:HEADS_DRAWN])
    where = f"{model.label}, prompt “{prompt}”"
    drawings = (
        ("blocks", f"{where}: attention, averaged over heads", blocks, "attention"),
        (
            "heads",
            f"{where}: attention in block {strongest}",
            _of(probability, heads),
            "attention",
        ),
        (
            "scores",
            f"{where}: scores in block {strongest}",
            _of(score, heads),
            "attention_logit",
        ),
    )
    for kind, caption, panels, dataset in drawings:
        section.picture(
            f"heat_map_{kind}_{suffix}",
            f"{caption}.",
            functools.partial(heat_maps, panels, tokens, dataset.replace("_", " ")),
            _frame(panels, tokens, dataset),
            f"/capture/{prompt}/{dataset}",
        )


def _blocks(sweep: Sweep, means: np.ndarray) -> list[int]:
    """The blocks before and after massive activations appear and go, then evenly spread ones."""
    measured = np.flatnonzero(np.nansum(means, axis=(1, 2)) > 0)
    found = events_by(sweep, ["layer"])["layer"] if sweep.has("massive") else pd.Series(dtype=int)
    # Block l reads the output of l - 1: the first to see an event of layer l is block l + 1.
    wanted = [found.min(), found.min() + 1, found.max(), found.max() + 1] if len(found) else []
    spread = measured[np.linspace(0, len(measured) - 1, LAYERS_DRAWN).round().astype(int)]
    ordered = dict.fromkeys(int(layer) for layer in (*wanted, *spread) if layer in measured)
    return sorted(list(ordered)[:LAYERS_DRAWN])


def _pull(attention: np.ndarray) -> float:
    """The largest mean attention that one key draws from the later half of the queries."""
    late = attention[len(attention) // 2 :]
    seen = np.isfinite(late)
    mean = np.where(seen, late, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return float(mean[: len(attention) // 2 + 1].max()) if seen.any() else float("nan")


def _of(values: np.ndarray, heads: np.ndarray) -> dict[str, np.ndarray]:
    return {f"head {head}": values[head] for head in heads}


def _frame(panels: Mapping[str, np.ndarray], tokens: Sequence[str], name: str) -> pd.DataFrame:
    axes = {"panel": list(panels), "query": tokens, "key": tokens}
    return long_frame(axes, **{name: np.stack(list(panels.values()))}).dropna()
