"""What is kept of a window on its way through transformers' model, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

NEAR = 1e-4  # of the largest score: so near to it rounding may put another first
NO_KEYS = np.zeros(3, np.int64)
Positions = Sequence[int]  # of a window's tokens, rising


@dataclass(frozen=True)
class Expected:
    """A dataset by transformers, and the size that differences are measured by."""

    values: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class ToSet:
    """What one layer's queries of a window give one set of keys: sums, float64."""

    mass: np.ndarray  # [H]
    score: np.ndarray  # [H]: of the mean score on the set's keys
    score_size: np.ndarray  # [H]: of its magnitude
    value_norm: np.ndarray  # [key heads]: over the set's keys
    counts: np.ndarray  # [3]: queries; keys; 1 where the window has any of them


@dataclass(frozen=True)
class ToSets:
    """One layer of a window: each set of keys, and what all of its attention has in common, float64."""

    sets: tuple[ToSet, ...]
    sink: np.ndarray  # [H]: mean attention to position 0
    short_sink: np.ndarray  # [H]: over the first 64 tokens; NaN of a shorter window
    entropy: np.ndarray  # [H]: sum of the entropy over its largest
    entropy_rows: int
    value_norm: np.ndarray  # [key heads]: over all tokens
    tokens: int


@dataclass(frozen=True)
class Attention:
    """One layer's attention of a window of T tokens, float64."""

    received: np.ndarray  # [H, T]: mean over the other queries that see a key; NaN: none does
    largest: np.ndarray  # [H]: of the scores that are seen
    near: np.ndarray  # bits [H, T * T]: of query and key, whether their score is the largest but for NEAR
    norms: dict[str, np.ndarray]  # by "query", "key", "value": [heads], the largest of a token
    to_sets: ToSets | None  # where the job has sets of keys

    def is_near(self, head: int, query: int, key: int) -> bool:
        """Whether the window has the two positions, and their score is the largest but for NEAR."""
        length = self.received.shape[1]
        place = query * length + key
        return bool(max(query, key) < length and self.near[head, place // 8] >> (7 - place % 8) & 1)


@dataclass(frozen=True)
class Experts:
    """One layer's experts of a window of T tokens, float64: sums [experts] over those that chose each."""

    gate: np.ndarray
    output_norm: np.ndarray
    weighted_norm: np.ndarray
    is_chosen: np.ndarray  # [T, experts] bool
    gates: np.ndarray  # [T, experts]: the router's weights of those, 0 of others


@dataclass
class Inside:
    """Of one window, by the number of the layer from 1."""

    attention: dict[int, Attention] = field(default_factory=dict)
    sites: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)  # [T, channels] float32
    experts: dict[int, Experts] = field(default_factory=dict)
    between: dict[int, np.ndarray] = field(default_factory=dict)  # [T, C]
    window: int = 0  # which it is
    layer: int = 0  # that is passed now
