"""The bounds of the design: against transformers in float64, transformers' own rounding the measure.

Residual streams are held channel by channel: one massive channel would hide any error in the rest
under a bound for the whole layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .measured_errors import record

FLOOR = 1e-2  # of the layer's median of the channels' largest magnitudes

# Two sums of the same terms in another order differ from the exact one by errors of one size, of which
# the largest of many may be a few times as large in one as in the other.
TIMES = 4.0
TIMES_OF_MEDIANS = 2.0  # which chance moves less
SANE = 1e-3  # beyond it float32 chose otherwise somewhere, and is no measure of rounding
ROUNDINGS = 4 * 2.0**-24  # of a scale: theirs may be exact by chance, or take a rounding less


def channel_scale(streams: Sequence[np.ndarray], floor: float = FLOOR) -> np.ndarray:
    """Streams [layers, T, C] -> [layers, 1, C]: what errors are held against; 1 in layers of zeros."""
    largest = np.max([np.abs(stream).max(axis=1) for stream in streams], axis=0)
    floor = floor * np.median(largest, axis=1, keepdims=True)
    scale = np.maximum(largest, floor)
    return np.where(scale == 0, 1.0, scale)[:, None, :]


def largest_error(
    found: Sequence[np.ndarray], expected: Sequence[np.ndarray], scale: np.ndarray
) -> np.ndarray:
    """Per layer [layers], in units of the scale."""
    errors = []
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        assert np.isfinite(mine).all() and np.isfinite(theirs).all()
        errors.append((np.abs(mine.astype(np.float64) - theirs) / scale).max(axis=(1, 2)))
    return np.max(errors, axis=0)


@dataclass(frozen=True)
class Reference:
    """A value in float64, and by how much rounding may change it.

    `error`: what transformers' own float32 would make of it if no error cancelled another. `size`: of
    which one rounding is a part. Both are compared by layer, the first axis, in units of `scale`.
    """

    exact: np.ndarray
    error: np.ndarray
    size: np.ndarray
    scale: np.ndarray | float = 1.0

    def change(self, change: Callable[[np.ndarray], np.ndarray]) -> Reference:
        """The same elsewhere in the array; of one scale."""
        return Reference(change(self.exact), change(self.error), change(self.size))


def assert_near(name: str, found: np.ndarray, reference: Reference) -> float:
    """By layer, and NaN where the reference is. The largest error, as a part of what is allowed."""
    exact = reference.exact
    assert found.shape == exact.shape, (name, found.shape, exact.shape)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact), err_msg=name)
    with np.errstate(invalid="ignore"):  # of equal infinities
        mine = np.nan_to_num(np.abs(found.astype(np.float64) - exact))

    def by_layer(values: np.ndarray) -> np.ndarray:
        return (np.nan_to_num(values) / reference.scale).reshape(len(exact), -1).max(axis=1)

    size = by_layer(reference.size)
    allowed = TIMES * error_by_layer(by_layer(reference.error), size) + ROUNDINGS * size
    ratio = by_layer(mine) / np.maximum(allowed, 1e-30)
    print(f"{name}: {ratio.max():.3f} of what is allowed")
    assert (ratio <= 1).all(), f"{name}: by layer {ratio} of what is allowed"
    return float(ratio.max())


def error_by_layer(error: np.ndarray, size: np.ndarray) -> np.ndarray:
    """At least the part of a layer's size that it was in a layer below: what rounding has changed there
    stays in the stream, and one layer's error may be small by chance."""
    parts = np.divide(error, size, out=np.zeros_like(error), where=size > 0)
    return np.maximum(error, np.maximum.accumulate(parts) * size)


def allowed_error(single: np.ndarray, times: float = TIMES) -> np.ndarray:
    """By layer, of transformers' own float32: an error stays in the stream of the layers above."""
    return times * np.maximum.accumulate(np.atleast_1d(single)) + ROUNDINGS


def assert_rounds_as_transformers(
    name: str,
    found: Sequence[np.ndarray],
    single: Sequence[np.ndarray],
    exact: Sequence[np.ndarray],
    samples: Sequence[Sequence[np.ndarray]] = (),
    floor: float = FLOOR,
) -> None:
    """Streams [layers, T, C] of prompts: by layer, the largest error and the median of tokens'.
    `samples`: other streams of the prompts by which rounding is measured; the largest counts."""
    scale = channel_scale(exact, floor)
    assert all(stream.dtype == np.float32 for stream in found)
    measures = (single, *samples)
    mine = largest_error(found, exact, scale)
    theirs = np.max([largest_error(streams, exact, scale) for streams in measures], axis=0)
    assert theirs.max() < SANE, theirs
    of_largest = mine / allowed_error(theirs)
    record(name, stream=float(mine.max()), of_allowed=float(of_largest.max()))
    mine, *medians = (
        np.median(token_errors(streams, exact, scale), axis=1) for streams in (found, *measures)
    )
    theirs = np.max(medians, axis=0)
    of_median = mine / allowed_error(theirs, TIMES_OF_MEDIANS)
    print(
        f"{name}: largest errors {of_largest.max():.3f}, median ones {of_median.max():.3f} "
        "of what is allowed"
    )
    assert (of_largest <= 1).all(), of_largest
    assert (of_median <= 1).all(), of_median


@dataclass(frozen=True)
class Losses:
    """Of windows, in float64; and by how much transformers' own float32 is off for any next token.

    Which token it is that comes next is chance: the loss of it may be near by another chance.
    """

    exact: list[np.ndarray]  # [T - 1] in nats
    error: float

    @property
    def allowed(self) -> float:
        """Of a token, and so of any mean."""
        size = 1 + max(np.abs(nll).max(initial=0) for nll in self.exact)
        return TIMES * self.error + ROUNDINGS * size

    @property
    def rows(self) -> np.ndarray:
        """As in the file: NaN for the last of a window."""
        return np.concatenate([np.append(nll, np.nan) for nll in self.exact])


def assert_losses_round_as_transformers(
    found: np.ndarray, losses: Losses, rows: np.ndarray | None = None
) -> float:
    """The largest error. `rows`: in the file's order, where that is another; NaN where there is no
    loss."""
    exact = losses.rows if rows is None else rows
    assert found.shape == exact.shape
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    error = float(np.nanmax(np.abs(found.astype(np.float64) - exact)))
    print(f"losses: largest error {error / losses.allowed:.3f} of what is allowed, {error:.1e} nats")
    assert error <= losses.allowed
    return error


def assert_perplexities_round_as_transformers(
    attributes: Mapping[str, float], losses: Losses
) -> None:
    """Over all tokens, and of the mean of windows' means."""
    means = {
        "perplexity": np.concatenate(losses.exact).mean(),
        "windows_perplexity": np.mean([nll.mean() for nll in losses.exact]),
    }
    for name, mean in means.items():
        assert abs(np.log(attributes[name]) - mean) <= losses.allowed, name


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


def median_ratios(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Of token errors [layers, tokens]: the median of each layer but the embedding's, over theirs."""
    return np.median(mine, axis=1)[1:] / np.median(theirs, axis=1)[1:]


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
