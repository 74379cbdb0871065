"""What is kept of a window on its way through transformers' model, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


NEAR = 1e-4  # of the largest score: so near to it rounding may put another first


@dataclass(frozen=True)
class Attention:
    """One layer's attention of a window of T tokens, float64."""

    received: np.ndarray  # [H, T]: mean over the other queries that see a key; NaN: none does
    largest: np.ndarray  # [H]: of the scores that are seen
    near: np.ndarray  # bits [H, T * T]: of query and key, whether their score is the largest but for NEAR
    norms: dict[str, np.ndarray]  # by "query", "key", "value": [heads], the largest of a token

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
    layer: int = 0  # that is passed now
