"""The bounds of the design on residual streams, channel by channel.

One massive channel would hide any error in the rest under a bound for the whole layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BOUND = 1e-4  # of a channel's largest magnitude
FLOOR = 1e-2  # of the layer's median of those


def channel_scale(streams: Sequence[np.ndarray]) -> np.ndarray:
    """Streams [layers, T, C] -> [layers, 1, C]: what errors are held against."""
    largest = np.max([np.abs(stream).max(axis=1) for stream in streams], axis=0)
    floor = FLOOR * np.median(largest, axis=1, keepdims=True)
    return np.maximum(largest, floor)[:, None, :]


def largest_error(
    found: Sequence[np.ndarray], expected: Sequence[np.ndarray], scale: np.ndarray
) -> np.ndarray:
    """Per layer [layers], in units of the scale."""
    errors = []
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape and mine.dtype == np.float32
        assert np.isfinite(mine).all() and np.isfinite(theirs).all()
        errors.append((np.abs(mine.astype(np.float64) - theirs) / scale).max(axis=(1, 2)))
    return np.max(errors, axis=0)


def token_errors(
    found: Sequence[np.ndarray], expected: Sequence[np.ndarray], scale: np.ndarray
) -> np.ndarray:
    """[layers, tokens]: root mean square over channels of the errors in units of the scale."""
    errors = []
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape and np.isfinite(mine).all()
        square = ((mine.astype(np.float64) - theirs) / scale) ** 2
        errors.append(np.sqrt(square.mean(axis=2)))
    return np.concatenate(errors, axis=1)


def assert_no_worse(mine: np.ndarray, theirs: np.ndarray, factor: float = 1.2) -> None:
    """Token errors [layers, tokens]: their median and 99.9 % in every layer."""
    for quantile in (0.5, 0.999):
        found = np.quantile(mine, quantile, axis=1)
        allowed = factor * np.quantile(theirs, quantile, axis=1)
        assert (found <= allowed).all(), (
            f"{quantile:.1%} of tokens, by layer: ratios {found / np.maximum(allowed, 1e-30)} of "
            f"what is allowed"
        )


def assert_no_worse_with_experts(mine: np.ndarray, theirs: np.ndarray) -> None:
    """The same where rounding chooses some tokens' experts anew.

    Those tokens' errors, and by attention those of tokens after them, are the difference between
    experts; which tokens they are is chance. So the quantile above them is replaced by one below
    them, and their number: those with an error above theirs' 99 %, with three standard deviations.
    """
    for quantile in (0.5, 0.9):
        found = np.quantile(mine, quantile, axis=1)
        allowed = 1.2 * np.quantile(theirs, quantile, axis=1)
        assert (found <= allowed).all(), f"{quantile:.0%} of tokens: {found}, allowed {allowed}"
    large = np.quantile(theirs, 0.99, axis=1, keepdims=True)
    count, their_count = (mine > large).sum(axis=1), (theirs > large).sum(axis=1)
    allowed = 1.2 * their_count + 3 * np.sqrt(their_count)
    assert (count <= allowed).all(), f"tokens with a large error: {count}, allowed {allowed}"
