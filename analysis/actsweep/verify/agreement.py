"""How far actsweep's residual streams are from transformers', layer by layer.

In: the windows of a job as both computed them. Out: for each layer the largest difference, in units
of the largest magnitude of its channel (floored at 1 % of the layer's median of those, so that no
massive channel hides an error in the rest), and beside it the error of transformers' own float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLOOR = 1e-2  # of the layer's median of the channels' largest magnitudes
OWN_FACTOR = 4  # what two ways of rounding may differ by, in errors of one of them


@dataclass(frozen=True)
class Layer:
    """The largest difference of one layer, and where."""

    difference: float
    own: float  # of transformers in float32 from itself in float64; NaN where not measured
    norms: float  # of the sweep's norms of tokens, relative
    window: int
    token: int
    channel: int

    def is_within(self, bound: float) -> bool:
        """Whether it keeps the bound, or is rounding by the measure of transformers' own."""
        allowed = max(bound, OWN_FACTOR * np.nan_to_num(self.own))
        return self.difference <= allowed and self.norms <= allowed


def compare_layers(
    mine: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    sure: Sequence[np.ndarray],
    exact: Sequence[np.ndarray] | None,
    norms: Sequence[np.ndarray],
) -> list[Layer]:
    """Streams [L + 1, T, C] and norms [L + 1, T] of each window; `sure` [L + 1, T] are compared."""
    scale = channel_scale(theirs)
    layers = []
    for layer in range(len(theirs[0])):
        errors = [
            _errors(a[layer], b[layer], scale[layer], kept[layer])
            for a, b, kept in zip(mine, theirs, sure, strict=True)
        ]
        own = np.nan
        if exact is not None:
            own = max(
                float(_errors(b[layer], c[layer], scale[layer], kept[layer]).max())
                for b, c, kept in zip(theirs, exact, sure, strict=True)
            )
        apart = max(
            float(_norm_errors(a[layer], b[layer], kept[layer]).max())
            for a, b, kept in zip(norms, theirs, sure, strict=True)
        )
        window = int(np.argmax([error.max() for error in errors]))
        token, channel = np.unravel_index(np.argmax(errors[window]), errors[window].shape)
        largest = float(errors[window].max())
        layers.append(Layer(largest, own, apart, window, int(token), int(channel)))
    return layers


def channel_scale(streams: Sequence[np.ndarray]) -> np.ndarray:
    """[L + 1, C]: the largest magnitude of a channel of streams [L + 1, T, C], floored by its layer's
    median."""
    finite = [np.where(np.isfinite(stream), np.abs(stream), 0) for stream in streams]
    largest = np.max([stream.max(axis=1) for stream in finite], axis=0).astype(np.float64)
    floor = FLOOR * np.median(largest, axis=1, keepdims=True)
    return np.maximum(np.maximum(largest, floor), np.finfo(np.float32).tiny)


def _errors(a: np.ndarray, b: np.ndarray, scale: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """[T, C]: 0 where both have the same value that is no number, or a token is not compared."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(a.astype(np.float64) - b) / scale
    error = np.where(same | ~kept[:, None], 0, error)
    return np.where(np.isnan(error), np.inf, error)


def _norm_errors(mine: np.ndarray, stream: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """[T]: a token with a value that is not finite has no norm in the sweep."""
    with np.errstate(invalid="ignore", over="ignore"):
        theirs = np.linalg.norm(stream.astype(np.float64), axis=1)
        theirs[~np.isfinite(stream).all(axis=1)] = np.nan
        error = np.abs(mine - theirs) / np.maximum(theirs, np.finfo(np.float32).tiny)
    same = np.isnan(mine) & np.isnan(theirs)
    return np.where(same | ~kept, 0, np.where(np.isnan(error), np.inf, error))


def loss_difference(mine: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """Over all tokens, in nats or, of a loss above 1, relative to it."""
    a, b = (np.concatenate(list(losses)).astype(np.float64) for losses in (mine, theirs))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0, np.abs(a - b) / np.maximum(1, np.abs(b)))
    return float(np.where(np.isnan(error), np.inf, error).max(initial=0))
