"""What is kept of a window on its way through transformers' model, without torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Attention:
    """One layer's attention of a window of T tokens, float64."""

    received: np.ndarray  # [H, T]: mean over the other queries that see a key; NaN: none does
    scores: np.ndarray  # [H, kept]: the largest, in their order
    places: np.ndarray  # [H, kept, 2]: of query and key
    norms: dict[str, np.ndarray]  # by "query", "key", "value": [heads], the largest of a token


@dataclass(frozen=True)
class ExpertSums:
    """Over the tokens that chose each expert, [experts] float64."""

    gate: np.ndarray
    output_norm: np.ndarray
    weighted_norm: np.ndarray


@dataclass
class Inside:
    """Of one window, by the number of the layer from 1."""

    attention: dict[int, Attention] = field(default_factory=dict)
    sites: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)  # [T, channels] float32
    experts: dict[int, ExpertSums] = field(default_factory=dict)
    between: dict[int, np.ndarray] = field(default_factory=dict)  # [T, C]
    layer: int = 0  # that is passed now
