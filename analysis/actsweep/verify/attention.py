"""Attention of one window in one layer by the textbook, from what transformers' eager attention takes and
gives.

In: queries, keys, values, the mask, whole T × T probabilities. Out: what is compared of them; no T × T matrix
of numbers is kept. Definitions: docs/statistics.md, "Attention".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .records import NEAR, NO_KEYS, Attention, Positions, ToSet, ToSets

SHORT = 64  # tokens of the sink metric's short form


@dataclass(frozen=True)
class Call:
    """One call of eager attention: float32 or float64."""

    query: torch.Tensor  # [1, H, T, D]
    key: torch.Tensor  # [1, key heads, T, D]
    value: torch.Tensor  # [1, key heads, T, values]
    mask: torch.Tensor | None  # [1, 1 or H, T, T], bool or added to scores; None: every query sees all keys
    weights: torch.Tensor  # [1, H, T, T or more]: probabilities of the keys, and of a sink where they have it
    scale: float
    softcap: float | None = None
    sinks: torch.Tensor | None = None  # [H]: learned scores, one more slot of each softmax

    @property
    def length(self) -> int:
        return self.query.shape[2]

    def scores(self) -> torch.Tensor:
        """[H, T, T] float64; of hidden keys too."""
        repeated = self.key.repeat_interleave(self.query.shape[1] // self.key.shape[1], dim=1)
        scores = (self.query[0].double() @ repeated[0].double().transpose(1, 2)) * self.scale
        return scores if self.softcap is None else torch.tanh(scores / self.softcap) * self.softcap

    def probabilities(self) -> torch.Tensor:
        """[H, T, T] float64."""
        return self.weights[0, :, :, : self.length].double()

    def visible(self) -> torch.Tensor:
        """[H, T, T] bool: whether a query sees a key."""
        heads, length = self.query.shape[1], self.length
        if self.mask is None:
            return torch.ones(heads, length, length, dtype=torch.bool)
        is_bool = self.mask.dtype == torch.bool
        seen = self.mask if is_bool else self.mask > torch.finfo(self.mask.dtype).min / 2
        return seen[0, :, :length, :length].expand(heads, -1, -1)


def attention_of(call: Call, sets: Sequence[Positions | None]) -> Attention:
    """`sets`: the positions of each set of keys; None is the slot of learned sinks."""
    scores, weights, visible = call.scores(), call.probabilities(), call.visible()
    norms = {
        name: part[0].double().norm(dim=-1).amax(dim=1).numpy()
        for name, part in (("query", call.query), ("key", call.key), ("value", call.value))
    }
    seen = scores.masked_fill(~visible, -torch.inf).flatten(1)
    largest = seen.amax(dim=1, keepdim=True)
    near = np.packbits((seen >= largest - NEAR * largest.abs()).numpy(), axis=1)
    received = received_by(weights, visible)
    to_sets = _to_sets(call, scores, weights, visible[0], sets) if sets else None
    return Attention(received.numpy(), largest[:, 0].numpy(), near, norms, to_sets)


def received_by(weights: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """[H, T]: mean over the other queries that see a key."""
    others = visible & ~torch.eye(weights.shape[-1], dtype=torch.bool)
    counts = others.sum(dim=1)
    sums = weights.masked_fill(~others, 0).sum(dim=1)
    return torch.where(counts > 0, sums / counts.clamp(min=1), torch.nan)


def _to_sets(
    call: Call, scores: torch.Tensor, weights: torch.Tensor, seen: torch.Tensor,
    sets: Sequence[Positions | None],
) -> ToSets:  # fmt: skip
    """`seen`: [T, T], which keys a query sees."""
    norms = call.value[0].double().norm(dim=-1)  # [key heads, T]
    rest = 1 - weights.sum(dim=2)  # [H, T]: of a row, what is on no key
    found = [
        _to_learned(rest, call.sinks, len(norms))
        if keys is None
        else _to_keys(weights, scores, seen, norms, list(keys))
        for keys in sets
    ]
    first = weights[:, :, 0]
    short = first[:, :SHORT].mean(dim=1) if call.length >= SHORT else first[:, 0] * torch.nan
    parts = weights if call.sinks is None else torch.cat([weights, rest[..., None].clamp(min=0)], dim=2)
    slots = seen.sum(dim=1) + (0 if call.sinks is None else 1)
    is_counted = slots > 1
    entropy = torch.special.entr(parts).sum(dim=2)[:, is_counted] / slots[is_counted].log()
    return ToSets(
        tuple(found), first.mean(dim=1).numpy(), short.numpy(), entropy.sum(dim=1).numpy(),
        int(is_counted.sum()), norms.sum(dim=1).numpy(), call.length,
    )  # fmt: skip


def _to_keys(
    weights: torch.Tensor, scores: torch.Tensor, seen: torch.Tensor, norms: torch.Tensor, keys: list[int]
) -> ToSet:
    """Over the queries outside the set that see all of it."""
    if not keys:
        return ToSet(*(np.zeros(len(weights)) for _ in range(3)), np.zeros(len(norms)), NO_KEYS)
    queries = seen[:, keys].all(dim=1)
    queries[keys] = False
    mass = weights[:, queries][:, :, keys].sum(dim=(1, 2))
    mean = scores[:, queries][:, :, keys].mean(dim=2)  # [H, queries]
    return ToSet(
        mass.numpy(), mean.sum(dim=1).numpy(), mean.abs().sum(dim=1).numpy(),
        norms[:, keys].sum(dim=1).numpy(), np.array([int(queries.sum()), len(keys), 1]),
    )  # fmt: skip


def _to_learned(rest: torch.Tensor, sinks: torch.Tensor | None, key_heads: int) -> ToSet:
    """The one key of a window that every query sees, and that has no value."""
    if sinks is None:
        raise ValueError('attention to "learned": transformers\' module has no sinks')
    length = rest.shape[1]
    score = sinks.detach().double() * length
    return ToSet(
        rest.sum(dim=1).numpy(), score.numpy(), score.abs().numpy(), np.zeros(key_heads),
        np.array([length, 1, 1]),
    )  # fmt: skip
