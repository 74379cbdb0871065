"""A reference for every dataset of the sweep file: plain numpy over captured residual streams.

REFERENCES maps a dataset's path, as `actsweep schema` lists it, to a function of `Measured`.
Selections, medians, counts and histograms are exact; sums have a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from support.bounds import allowed_error
from support.measured_windows import BINS, Measured
from support.number_formats import FORMATS, square_errors
from support.token_files import ROLES

CLASSES = 4
NO_INDEX = 2**32 - 1
QUARTER_OCTAVES = 128
SUM_BOUND = 1e-12  # of the sum of the terms' magnitudes


@dataclass(frozen=True)
class Near:
    """Values that may differ by so much, NaN from NaN by nothing."""

    values: np.ndarray
    tolerance: np.ndarray


Reference = Callable[[Measured], "np.ndarray | Near"]
REFERENCES: dict[str, Reference] = {}


def compare(found: np.ndarray, expected: np.ndarray | Near) -> str:
    """What differs, in words; empty where nothing does."""
    values = expected.values if isinstance(expected, Near) else expected
    if np.shape(found) != np.shape(values):
        return f"shape {np.shape(found)}, expected {np.shape(values)}"
    if not isinstance(expected, Near):
        is_wrong = ~((found == values) | ((found != found) & (values != values)))
    else:
        is_near = np.abs(found.astype(np.float64) - values) <= expected.tolerance
        is_wrong = ~(is_near | (np.isnan(found) & np.isnan(values)))
    if not np.any(is_wrong):
        return ""
    first = tuple(np.argwhere(is_wrong)[0])
    return (
        f"{np.sum(is_wrong)} of {np.size(found)} differ, the first at {first}: "
        f"{found[first]!r}, expected {values[first]!r}"
    )


def references(paths: dict[str, Reference]) -> None:
    REFERENCES.update(paths)


def near_sum(terms: np.ndarray, axis: int | tuple[int, ...]) -> Near:
    return Near(terms.sum(axis=axis), SUM_BOUND * np.abs(terms).sum(axis=axis))


def sums_of(terms: np.ndarray, groups: Iterable[np.ndarray], shape: tuple[int, ...]) -> Near:
    """Terms [L, N, C] -> sums [L, *shape, C] over each group's tokens, bool [N]."""
    sums = [near_sum(terms[:, group], axis=1) for group in groups]
    full = (len(terms), *shape, terms.shape[2])
    values, tolerances = ([s.values for s in sums], [s.tolerance for s in sums])
    return Near(*(np.stack(one, axis=1).reshape(full) for one in (values, tolerances)))


def by_class(m: Measured, terms: np.ndarray) -> Near:
    """Terms [L, N, C] -> sums [L, classes, C]."""
    return sums_of(terms, [m.classes == c for c in range(CLASSES)], (CLASSES,))


def by_role(m: Measured, terms: np.ndarray) -> Near:
    """Terms [L, N, C] -> sums [L, roles, classes, C]."""
    groups = [(m.roles == r) & (m.classes == c) for r in range(ROLES) for c in range(CLASSES)]
    return sums_of(terms, groups, (ROLES, CLASSES))


def role_count(m: Measured) -> np.ndarray:
    """[L, roles, classes]"""
    counts = np.zeros((len(m.x), ROLES, CLASSES), np.int64)
    for layer, kept in enumerate(m.is_kept):
        np.add.at(counts[layer], (m.roles[kept], m.classes[kept]), 1)
    return counts


def padded(values: np.ndarray, k: int, filler: object) -> np.ndarray:
    """The first k along the last axis, filled up where there are fewer."""
    kept = values[..., :k]
    width = [(0, 0)] * (kept.ndim - 1) + [(0, k - kept.shape[-1])]
    return np.pad(kept, width, constant_values=filler)


def token_top(m: Measured) -> tuple[np.ndarray, np.ndarray]:
    """Values and channels [L, rows, k]; a stable sort leaves ties by rising channel."""
    k, x, kept = m.options.top_k, m.x[:, m.rows], m.is_kept[:, m.rows, None]
    channel = np.argsort(-np.where(kept, np.abs(x), 0), axis=2, kind="stable")
    value = np.where(kept, np.take_along_axis(x, channel, axis=2), np.nan)
    channel = np.where(kept, channel, NO_INDEX)
    return padded(value, k, np.nan), padded(channel, k, NO_INDEX)


def sequence_top(m: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, channels, positions [L, S, k]; ties by position, then channel."""
    layers, _, channels = m.x.shape
    shape = (layers, len(m.windows), m.options.top_k)
    value = np.full(shape, np.nan, np.float32)
    channel, position = np.full(shape, NO_INDEX), np.full(shape, NO_INDEX)
    for layer in range(layers):
        for i, span in enumerate(m.spans):
            kept = np.repeat(m.is_kept[layer, span], channels)
            flat = m.x[layer, span].ravel()
            order = np.argsort(-np.where(kept, np.abs(flat), -1), kind="stable")
            order = order[: kept.sum()][: m.options.top_k]
            value[layer, i, : len(order)] = flat[order]
            channel[layer, i, : len(order)] = order % channels
            position[layer, i, : len(order)] = order // channels
    return value, channel, position


def extreme(m: Measured, choose: Callable[..., np.ndarray], nothing: float) -> np.ndarray:
    """[L, C]: the smallest or the largest of the tokens kept."""
    kept = np.where(m.is_kept[:, :, None], m.x, np.float32(nothing))
    return choose(kept, axis=1)


def largest_token(m: Measured) -> np.ndarray:
    """[L, C]: the first of the tokens kept with a channel's largest magnitude; -1 where none is above 0."""
    magnitude = np.where(m.is_kept[:, :, None], m.magnitude, np.float32(0))
    return np.where(m.channel_max > 0, magnitude.argmax(axis=1), -1)


def excess_kurtosis(x: np.ndarray) -> np.ndarray:
    """Of the last axis, float64: m4 / m2^2 - 3 of the central moments. NaN where all values are equal."""
    off = x - x.mean(axis=-1, keepdims=True)
    second, fourth = (off**2).mean(axis=-1), (off**4).mean(axis=-1)
    is_constant = (x == x[..., :1]).all(axis=-1)
    second = np.where(is_constant, np.nan, second)
    return fourth / second**2 - 3


def kurtosis(m: Measured) -> np.ndarray:
    """[L, N]: NaN where a token is left out."""
    return np.where(m.is_kept, excess_kurtosis(m.exact), np.nan)


def kurtosis_sum(m: Measured) -> Near:
    of_tokens = kurtosis(m)
    return Near(
        np.nansum(of_tokens, axis=1), SUM_BOUND * np.nansum(np.abs(of_tokens) + 3, axis=1)
    )


def kurtosis_max(m: Measured) -> Near:
    """One float32 may round the other way."""
    largest = np.nanmax(kurtosis(m), axis=1)
    return Near(largest, 2.0**-23 * np.abs(largest))


def block_histogram(m: Measured, size: int) -> np.ndarray:
    """[L, bins]: blocks of neighbouring channels by their largest magnitude; the last may be shorter."""
    firsts = np.arange(0, m.x.shape[2], size)
    bins = np.maximum.reduceat(m.magnitude, firsts, axis=2).view(np.uint32) >> 16
    return np.stack(
        [
            np.bincount(of_layer[kept].ravel(), minlength=BINS)
            for of_layer, kept in zip(bins, m.is_kept, strict=True)
        ]
    )


def quarter_octave_edges() -> np.ndarray:
    """Smallest magnitudes of the bins, float64: 2^(-56/4) and on; 0 in the first."""
    edges = 2.0 ** ((np.arange(QUARTER_OCTAVES) - 56) / 4)
    edges[0] = 0
    return edges


def quarter_octaves() -> np.ndarray:
    """The smallest float32 in each bin."""
    edges = quarter_octave_edges()
    rounded = edges.astype(np.float32)
    return np.where(rounded < edges, np.nextafter(rounded, np.float32(np.inf)), rounded)


def channel_histogram(m: Measured) -> np.ndarray:
    """[L, C, quarter octaves]"""
    layers, _, channels = m.x.shape
    counts = np.zeros((layers, channels, QUARTER_OCTAVES), np.int64)
    edges = quarter_octave_edges()
    for layer in range(layers):
        kept = m.magnitude[layer, m.is_kept[layer]].astype(np.float64)
        bins = np.searchsorted(edges, kept, side="right") - 1
        np.add.at(counts[layer], (np.arange(channels), bins), 1)
    return counts


def format_sums(m: Measured, terms_of: Callable[[np.ndarray, str], np.ndarray]) -> Near:
    """[L, formats]: over tokens and channels."""
    kept = m.exact.astype(np.float32)
    sums = [near_sum(terms_of(kept, name), axis=(1, 2)) for name in FORMATS]
    return Near(*(np.stack([getattr(x, y) for x in sums], axis=1) for y in ("values", "tolerance")))


def token_norm(m: Measured) -> Near:
    """One float32 may round the other way."""
    norm = np.sqrt((m.exact**2).sum(axis=2))
    norm = np.where(m.is_kept, norm, np.nan)[:, m.rows]
    return Near(norm, 2.0**-23 * norm)


def loss_tolerance(m: Measured) -> float:
    """Logits are float32: of the size of the losses, and by how much numpy's own float32 rounds."""
    size = 1 + np.nanmax(np.abs(m.token_nll))
    error = np.nanmax(np.abs(m.token_nll_in(np.float32) - m.token_nll))
    return size * allowed_error(error / size)[0]


def loss_rows(m: Measured) -> Near:
    nll = m.token_nll[m.rows]
    return Near(nll, np.full(nll.shape, loss_tolerance(m)))


def loss_sum(m: Measured, of_windows: bool) -> Near:
    """From the file's rows where it has them all, which have a test of their own."""
    has_rows = m.options.per_token == "all"
    nll = m.found["loss/token_nll"].astype(np.float64) if has_rows else m.token_nll
    terms = nll[~np.isnan(nll)]
    if of_windows:
        terms = np.array([np.nanmean(nll[span]) for span in m.spans])
    rounding = 0 if has_rows else loss_tolerance(m) * len(terms)
    return Near(terms.sum(), rounding + SUM_BOUND * np.abs(terms).sum())


def event_column(name: str) -> Reference:
    return lambda m: np.array([getattr(event, name) for event in m.events])


def labels_of(name: str) -> Reference:
    return lambda m: np.concatenate([getattr(window, name) for window in m.windows])


references(
    {
        "magnitude_bin": lambda m: (np.arange(BINS, dtype=np.uint32) << 16).view(np.float32),
        "tokens/id": labels_of("ids"),
        "tokens/position": lambda m: np.concatenate([np.arange(len(w.ids)) for w in m.windows]),
        "tokens/sequence": lambda m: np.repeat(
            np.arange(len(m.windows)), [len(w.ids) for w in m.windows]
        ),
        "tokens/document": labels_of("documents"),
        "tokens/class": labels_of("classes"),
        "tokens/role": labels_of("roles"),
        "tokens/row_token": lambda m: m.rows,
        "sequences/length": lambda m: np.array([len(w.ids) for w in m.windows]),
        "vocabulary/bytes": lambda m: np.frombuffer(b"".join(m.corpus.spellings()), np.uint8),
        "vocabulary/offset": lambda m: np.cumsum([0, *map(len, m.corpus.spellings())]),
        "residual/token_top_value": lambda m: token_top(m)[0],
        "residual/token_top_channel": lambda m: token_top(m)[1],
        "residual/token_median_magnitude": lambda m: m.token_median[:, m.rows],
        "residual/token_norm": token_norm,
        "residual/sequence_top_value": lambda m: sequence_top(m)[0],
        "residual/sequence_top_channel": lambda m: sequence_top(m)[1],
        "residual/sequence_top_position": lambda m: sequence_top(m)[2],
        "residual/sequence_median_magnitude": lambda m: m.sequence_median,
        "residual/count": lambda m: m.is_kept.sum(axis=1),
        "residual/nonfinite_tokens": lambda m: (~m.is_kept).sum(axis=1),
        "residual/channel_sum": lambda m: near_sum(m.exact, axis=1),
        "residual/channel_sum_square": lambda m: near_sum(m.exact**2, axis=1),
        "residual/channel_sum_fourth": lambda m: near_sum(m.exact**4, axis=1),
        "residual/channel_max_magnitude": lambda m: m.channel_max,
        "residual/channel_count_above_6": lambda m: (np.abs(m.exact) >= 6).sum(axis=1),
        "residual/magnitude_histogram": lambda m: m.histogram,
        "residual/class_count": lambda m: np.stack(
            [m.is_kept[:, m.classes == c].sum(axis=1) for c in range(CLASSES)], axis=1
        ),
        "residual/class_sum": lambda m: by_class(m, m.exact),
        "residual/class_sum_square": lambda m: by_class(m, m.exact**2),
        "residual/role_count": role_count,
        "residual/role_sum": lambda m: by_role(m, m.exact),
        "residual/role_sum_square": lambda m: by_role(m, m.exact**2),
        "residual/channel_min": lambda m: extreme(m, np.min, np.inf),
        "residual/channel_max": lambda m: extreme(m, np.max, -np.inf),
        "residual/channel_max_token": largest_token,
        "residual/kurtosis_count": lambda m: (~np.isnan(kurtosis(m))).sum(axis=1),
        "residual/kurtosis_sum": kurtosis_sum,
        "residual/kurtosis_max": kurtosis_max,
        "residual/block16_histogram": lambda m: block_histogram(m, 16),
        "residual/block32_histogram": lambda m: block_histogram(m, 32),
        "quarter_octave": lambda _: quarter_octaves(),
        "residual/channel_histogram": channel_histogram,
        "residual/format_error_square": lambda m: format_sums(m, square_errors),
        "residual/format_square": lambda m: format_sums(m, lambda x, _: x.astype(np.float64) ** 2),
        "massive/class": event_column("token_class"),
        "massive/events_left_out": lambda m: np.array(
            [
                sum(
                    max(0, len(events) - m.options.max_events)
                    for (_, at), events in m.events_by_place.items()
                    if at == layer
                )
                for layer in range(len(m.x))
            ]
        ),
        "massive_corpus/layer": lambda m: np.array([layer for layer, _ in m.findings]),
        "massive_corpus/channel": lambda m: np.array([channel for _, channel in m.findings]),
        "massive_corpus/max_magnitude": lambda m: np.array([m.channel_max[f] for f in m.findings]),
        "massive_corpus/ratio_to_corpus_median": lambda m: np.array(
            [m.channel_max[f] / m.corpus_median[f[0]] for f in m.findings]
        ),
        "massive_corpus/median_magnitude": lambda m: m.corpus_median,
        "loss/token_nll": loss_rows,
        "loss/nll_sum": lambda m: loss_sum(m, of_windows=False),
        "loss/target_count": lambda m: np.array((~np.isnan(m.token_nll)).sum()),
        "loss/window_mean_sum": lambda m: loss_sum(m, of_windows=True),
        "loss/window_count": lambda m: np.array(len(m.windows)),
    }
)
references(
    {
        f"massive/{name}": event_column(name)
        for name in (
            "layer", "sequence", "position", "document", "token", "token_id", "channel", "value",
            "ratio_to_sequence_median", "ratio_to_token_median", "reading",
        )
    }
)
