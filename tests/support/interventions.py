"""Interventions on transformers, by forward hooks, and their selections in numpy.

On a model in float64 nothing may be chosen by a difference that rounding could turn.

Definitions are those of docs/interventions.md, written straight down. A table has the keys of the
job file's [[intervention]] tables, and with `heads` as `of_heads` how many the site has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from .double_precision import kept
from .splitmix import MASK, splitmix64

Table = Mapping[str, Any]
CLEAR = 1e-6  # what float64 chooses by more than this, of a magnitude, no rounding chooses otherwise
RESIDUAL = "residual"
CLASSES = {"delimiter": 1, "weak_semantic": 2, "other": 3}
REGISTER = 1


@dataclass(frozen=True)
class Labels:
    """What an intervention knows of a sequence."""

    classes: np.ndarray  # [T]
    number: int = 0  # among the sweep's windows; 0 of a captured prompt
    # Of a shuffle, by site and layer: what stands at each position in another sequence [T, channels],
    # NaN where nothing does.
    donors: Mapping[tuple[str, int], np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Means:
    """The sums of a sweep file, as an intervention with `from` reads them."""

    by_class: np.ndarray  # float32 [layers + 1, classes, C]
    by_register: np.ndarray | None = None  # float32 [layers + 1, registers, C]
    deviations: np.ndarray | None = None  # float32, of classes

    @staticmethod
    def of(datasets: Mapping[str, np.ndarray], site: str = RESIDUAL) -> Means:
        with np.errstate(invalid="ignore"):
            count = datasets[f"{site}/class_count"][..., None]
            mean = datasets[f"{site}/class_sum"] / count
            by_class = mean.astype(np.float32)
            if "registers/sum" not in datasets:
                variance = datasets[f"{site}/class_sum_square"] / count - mean * mean
                return Means(by_class, deviations=np.sqrt(np.maximum(0, variance)).astype(np.float32))
            count = datasets["registers/count"][:, None, None]
            return Means(by_class, (datasets["registers/sum"] / count).astype(np.float32))


def random_channels(seed: int, sequence: int, layer: int, channels: int, count: int) -> list[int]:
    key = splitmix64(splitmix64(splitmix64(seed) ^ sequence) ^ layer)
    chosen: list[int] = []
    draw = 0
    while len(chosen) < count:
        channel = splitmix64((key + draw) & MASK) % channels
        if channel not in chosen:
            chosen.append(channel)
        draw += 1
    return chosen


def normal_number(seed: int, sequence: int, layer: int, position: int, channel: int) -> float:
    """Box and Muller's."""
    key = splitmix64(splitmix64(splitmix64(seed) ^ sequence) ^ layer)
    key = splitmix64(key ^ position)
    radius, turn = ((splitmix64(key, 2 * channel + i) >> 11) / 2**53 for i in (0, 1))
    return math.sqrt(-2 * math.log(1 - radius)) * math.cos(2 * math.pi * turn)


def donor_of(seed: int, first: int, own: int, lengths: Sequence[int], position: int) -> int | None:
    """Of a micro-batch, whose first sequence is the sweep's `first`: from which of the sequences the
    one numbered `own` in it has a token."""
    count = len(lengths)
    if count < 2:
        return None
    shift = splitmix64(splitmix64(seed) ^ first) % (count - 1)
    others = ((own + shift + step) % count for step in range(1, count + 1))
    return next((o for o in others if o != own and lengths[o] > position), None)


def median_channels(row: np.ndarray, count: int) -> list[int]:
    magnitude = np.abs(row)
    median = np.sort(magnitude)[(len(row) - 1) // 2]
    distance = np.abs(magnitude - median)
    if row.dtype == np.float64:
        last, left_out = np.sort(distance)[count - 1 : count + 1]
        assert left_out - last > CLEAR * median
    return list(np.argsort(distance, kind="stable")[:count])


def matched_tokens(table: Table, x: np.ndarray, classes: np.ndarray) -> list[int]:
    """Positions in x [T, C]."""
    kind, *rest = table["tokens"].split(":")
    if kind == "position":
        return [int(rest[0])] if int(rest[0]) < len(x) else []
    if kind == "class":
        return list(np.flatnonzero(classes == CLASSES[rest[0]])[:1])
    if kind == "registers":
        return list(np.flatnonzero(classes == REGISTER))
    if kind == "all":
        return list(range(len(x)))
    assert kind == "argmax"
    listed = table.get("channels")
    if "heads" in table:
        listed = chosen_channels(table, 0, x[0], Labels(classes))
    magnitude = np.abs(x[:, listed] if isinstance(listed, list) else x).max(axis=1)
    finite = np.isfinite(x).all(axis=1)
    if x.dtype == np.float64:
        second, largest = np.sort(magnitude)[-2:]
        assert largest == second or largest - second > CLEAR * largest
    return [int(np.argmax(np.where(finite, magnitude, -1)))] if finite.any() else []


def chosen_channels(table: Table, layer: int, row: np.ndarray, labels: Labels) -> list[int]:
    count = table.get("count", 2)
    if "heads" in table:
        width = len(row) // table["of_heads"]
        return [head * width + c for head in table["heads"] for c in range(width)]
    if table["channels"] == "median":
        return median_channels(row, count)
    if table["channels"] == "random":
        return random_channels(table.get("seed", 0), labels.number, layer, len(row), count)
    if table["channels"] == "all":
        return list(range(len(row)))
    return table["channels"]


def intervene(
    table: Table, layer: int, x: np.ndarray, labels: Labels, means: Means | None = None
) -> tuple[np.ndarray, int, int]:
    """x [T, C] as it is behind the intervention, tokens matched, activations overwritten."""
    tokens = matched_tokens(table, x, labels.classes)
    if table["action"] == "shuffle":
        donors = labels.donors[table.get("site", RESIDUAL), layer]
        tokens = [token for token in tokens if np.isfinite(donors[token]).all()]
    changed, count = x.copy(), 0
    for ordinal, token in enumerate(tokens):
        channels = chosen_channels(table, layer, x[token], labels)
        count += len(channels)
        if table["action"] == "scale":
            changed[token, channels] = x[token, channels] * np.float32(table["value"])
        elif table["action"] == "zero":
            changed[token, channels] = 0
        elif table["action"] == "shuffle":
            changed[token, channels] = donors[token, channels]
        elif table["action"] == "noise":
            assert means is not None and means.deviations is not None
            place = (layer, labels.classes[token])
            for channel in channels:
                drawn = normal_number(table.get("seed", 0), labels.number, layer, token, channel)
                mean, deviation = (float(of[*place, channel]) for of in (means.by_class, means.deviations))
                changed[token, channel] = mean + deviation * drawn
        elif "from" in table:
            assert means is not None
            is_by_register = table["tokens"] == "registers"
            of = means.by_register if is_by_register else means.by_class
            group = ordinal if is_by_register else labels.classes[token]
            changed[token, channels] = of[layer, group, channels]
        else:
            changed[token, channels] = np.float32(table["value"])
    return changed, len(tokens), count


def applies(table: Table, layer: int, layers: int, site: str = RESIDUAL) -> bool:
    """`layer`: of a block's inside, that of its output."""
    if table.get("site", RESIDUAL) != site:
        return False
    if table["layer"] == "all":
        return layer < layers or site != RESIDUAL
    return table["layer"] == layer


@contextmanager
def intervened(
    blocks: nn.ModuleList, tables: Sequence[Table], labels: Labels, means: Means | None = None
) -> Iterator[None]:
    """Within it, one sequence passes the blocks with the interventions, in their order."""

    def change(hidden: torch.Tensor, layer: int) -> torch.Tensor:
        x = kept(hidden[0]).numpy()
        for table in tables:
            if applies(table, layer, len(blocks)):
                x, _, _ = intervene(table, layer, x, labels, means)
        return torch.from_numpy(x)[None].to(hidden.dtype)

    def change_input(_block: nn.Module, inputs: tuple, named: dict) -> tuple[tuple, dict]:
        if inputs:
            return (change(inputs[0], 0), *inputs[1:]), named
        return inputs, named | {"hidden_states": change(named["hidden_states"], 0)}

    def changer_of_output(layer: int):
        def change_output(_block: nn.Module, _inputs: object, output: object) -> object:
            if isinstance(output, tuple):
                return (change(output[0], layer), *output[1:])
            assert isinstance(output, torch.Tensor)
            return change(output, layer)

        return change_output

    # Before the hooks by which the oracles keep the stream.
    handles = [blocks[0].register_forward_pre_hook(change_input, with_kwargs=True, prepend=True)]
    for i, block in enumerate(blocks):
        handles.append(block.register_forward_hook(changer_of_output(i + 1), prepend=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
