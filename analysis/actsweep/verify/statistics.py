"""A job's statistics by textbook code from what transformers computed, held against the sweep's.

In: passes of windows, and the datasets of a sweep of the same windows. Out: for each dataset its largest
difference in units of its size, that of transformers' own float32, and where. Definitions:
docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .agreement import OWN_FACTOR, channel_scale
from .events import event_lines, lifecycle_lines
from .formats import square_error
from .key_sets import set_expectations, sink_counts
from .records import Expected
from .reference import Pass

SITES = ("residual", "attention_input", "attention_heads", "mlp_input", "mlp_hidden")
NONE = 2**32 - 1  # of top_position, where no key is seen
EDGE = 1e-5  # of a magnitude: so near to a bin's edge rounding may choose the other bin
Found = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Line:
    """How far a dataset of the sweep is from transformers'."""

    name: str
    difference: float
    own: float  # transformers' own float32 from float64; NaN where not measured
    bound: float
    place: str = ""

    @property
    def is_within(self) -> bool:
        return self.difference <= self.bound


def compare_statistics(
    found: Found, theirs: Sequence[Pass], exact: Sequence[Pass] | None, formats: Sequence[str], bound: float
) -> list[Line]:
    """Of every dataset that the sweep has and transformers' passes give."""
    expected = dict(expected_of(theirs, formats))
    own = dict(expected_of(exact, formats)) if exact is not None else {}
    lines = []
    for name, one in expected.items():
        if name in found:
            rounding = _largest(one.values, own[name])[0] if name in own else np.nan
            difference, place = _largest(found[name], one)
            allowed = max(bound, OWN_FACTOR * float(np.nan_to_num(rounding)))
            lines.append(Line(name, difference, rounding, allowed, place))
    lines += [
        Line(name, difference, np.nan, bound, place) for name, difference, place in _choices(found, theirs)
    ]
    return sorted(lines, key=lambda line: line.name)


def expected_of(passes: Sequence[Pass], formats: Sequence[str]) -> Iterator[tuple[str, Expected]]:
    yield from _geometry(passes)
    if all(one.inside.attention for one in passes):
        yield from _attention(passes)
        yield from set_expectations(passes)
    for site in SITES:
        yield from _site(passes, site, formats)
    if all(one.inside.experts for one in passes):
        yield from _experts(passes)


def _of_layer(values: np.ndarray) -> np.ndarray:
    """The largest magnitude of each layer, in the shape of its values."""
    sizes = np.where(np.isfinite(values), np.abs(values), 0)
    largest = sizes.max(axis=tuple(range(1, values.ndim)), keepdims=True)
    return np.broadcast_to(np.maximum(largest, np.finfo(np.float32).tiny), values.shape)


def _by_layer(values: np.ndarray) -> Expected:
    return Expected(values, _of_layer(values))


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of rows [..., C]; NaN where a norm is 0."""
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (left * right).sum(axis=-1) / norms


def _participation(rows: np.ndarray) -> float:
    """By the eigenvalues of the Gram matrix."""
    eigenvalues = np.linalg.eigvalsh(rows @ rows.T)
    return float(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())


def _geometry(passes: Sequence[Pass]) -> Iterator[tuple[str, Expected]]:
    streams = [one.stream.astype(np.float64) for one in passes]
    first = np.concatenate([_cosines(x, x[:, :1]) for x in streams], axis=1)
    before = np.concatenate([_cosines(x[1:], x[:-1]) for x in streams], axis=1)
    previous = np.concatenate([np.full((1, first.shape[1]), np.nan), before])
    yield "geometry/token_cos_first", Expected(first, np.ones_like(first))
    yield "geometry/token_cos_previous", Expected(previous, np.ones_like(previous))
    ratios = np.array([[_participation(rows) for rows in x] for x in streams]).T
    yield "geometry/participation", Expected(ratios, ratios)
    normed = [x / np.linalg.norm(x, axis=2, keepdims=True) for x in streams]
    ratios = np.array([[_participation(rows) for rows in x] for x in normed]).T
    yield "geometry/participation_normed", Expected(ratios, ratios)


def _layers(passes: Sequence[Pass]) -> range:
    return range(1, len(passes[0].stream))


def _first_half(received: np.ndarray) -> np.ndarray:
    """[H, keys j < T / 2]; -1 where no query sees one."""
    return np.nan_to_num(received[:, : (received.shape[1] + 1) // 2], nan=-1.0)


def _attention(passes: Sequence[Pass]) -> Iterator[tuple[str, Expected]]:
    """A layer of another kind has what the embedding has."""
    insides = [one.inside.attention for one in passes]
    layers = sorted(insides[0])
    received = [[inside[layer].received for inside in insides] for layer in layers]

    def spread(rows: list[np.ndarray], nothing: float) -> Expected:
        values = np.full((len(passes[0].stream), *rows[0].shape), nothing)
        values[layers] = rows
        return _by_layer(values)

    for name, over_heads in (("token_mean", np.mean), ("token_largest_head", np.max)):
        rows = [np.concatenate([over_heads(x, axis=0) for x in layer]) for layer in received]
        yield f"attention_received/{name}", spread(rows, np.nan)
    tops = [np.stack([_first_half(x).max(axis=1) for x in layer]) for layer in received]
    rows = [np.where(top < 0, np.nan, top) for top in tops]
    yield "attention_received/top_mean", spread(rows, np.nan)
    largest = [np.max([inside[n].largest for inside in insides], axis=0) for n in layers]
    yield "scores/largest", spread(largest, -np.inf)
    for kind in ("query", "key", "value"):
        norms = [np.max([inside[n].norms[kind] for inside in insides], axis=0) for n in layers]
        if len({len(one) for one in norms}) == 1:
            yield f"scores/{kind}_norm", spread(norms, 0.0)


def _rows(passes: Sequence[Pass], site: str) -> list[np.ndarray] | None:
    """By layer the rows of all windows [tokens, channels] float32; the embedding's are empty but for the
    stream."""
    if site == "residual":
        layers = range(len(passes[0].stream))
        return [np.concatenate([one.stream[n] for one in passes]).astype(np.float32) for n in layers]
    keys = [(site, n) for n in _layers(passes)]
    if any(key not in one.inside.sites for one in passes for key in keys):
        return None
    rows = [np.concatenate([one.inside.sites[key] for one in passes]) for key in keys]
    return [np.zeros((0, rows[0].shape[1]), np.float32), *rows]


def _site(
    passes: Sequence[Pass], site: str, formats: Sequence[str]
) -> Iterator[tuple[str, Expected]]:
    rows = _rows(passes, site)
    if rows is None or len({one.shape[1] for one in rows}) > 1:
        return
    begin = 0 if len(rows[0]) else 1
    of_channel = channel_scale([np.stack(rows[begin:])])
    scale = np.concatenate([np.ones((begin, rows[0].shape[1])), of_channel])
    for name, extreme, nothing in (("min", np.min, np.inf), ("max", np.max, -np.inf)):
        values = np.stack([extreme(x, axis=0, initial=nothing) for x in rows])
        yield f"{site}/channel_{name}", Expected(values, scale)
    kurtosis = [_kurtosis(one) for one in rows]
    counts = np.array([max(1, len(one)) for one in kurtosis])
    sums = np.array([one.sum() for one in kurtosis])
    largest = np.array([one.max(initial=-np.inf) for one in kurtosis])
    yield f"{site}/kurtosis_sum", Expected(sums, np.abs(sums) + counts)
    yield f"{site}/kurtosis_max", Expected(largest, np.abs(np.where(np.isfinite(largest), largest, 0)) + 1)
    if formats:
        squares = np.array([[np.sum(x.astype(np.float64) ** 2)] * len(formats) for x in rows])
        errors = np.array([[square_error(x, name) if len(x) else 0.0 for name in formats] for x in rows])
        for name, values in (("format_square", squares), ("format_error_square", errors)):
            yield f"{site}/{name}", Expected(values, np.maximum(values, np.finfo(np.float32).tiny))


def _kurtosis(rows: np.ndarray) -> np.ndarray:
    """Excess kurtosis of each token over channels, of those whose values are not all equal."""
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=1, keepdims=True)
    second, fourth = (centred**2).mean(axis=1), (centred**4).mean(axis=1)
    return fourth[second > 0] / second[second > 0] ** 2 - 3


def _experts(passes: Sequence[Pass]) -> Iterator[tuple[str, Expected]]:
    layers = sorted(passes[0].inside.experts)
    for name in ("gate", "output_norm", "weighted_norm"):
        sums = [
            sum(getattr(one.inside.experts[layer], name) for one in passes) for layer in layers
        ]
        values = np.zeros((len(passes[0].stream), max(map(len, sums))))
        for layer, one in zip(layers, sums, strict=True):
            values[layer, : len(one)] = one
        yield f"experts/{name}_sum", _by_layer(values)


def _largest(mine: np.ndarray, theirs: Expected) -> tuple[float, str]:
    """The largest difference and its place; infinite where a value is none on one side alone."""
    if mine.shape != theirs.values.shape:
        shapes = [" × ".join(map(str, one.shape)) for one in (mine, theirs.values)]
        return np.inf, f"shapes {shapes[0]} and {shapes[1]}"
    same = (mine == theirs.values) | (np.isnan(mine) & np.isnan(theirs.values))
    with np.errstate(invalid="ignore"):
        error = np.abs(mine.astype(np.float64) - theirs.values) / theirs.scale
    error = np.where(same, 0, np.where(np.isnan(error), np.inf, error))
    place = np.unravel_index(int(np.argmax(error)), error.shape)
    layer, *others = map(str, place)
    return float(error.max(initial=0)), ", ".join([f"layer {layer}", *others])


def _choices(found: Found, theirs: Sequence[Pass]) -> Iterator[tuple[str, float, str]]:
    """Places and bins, which rounding may choose otherwise: by what they are places of."""
    if all(one.inside.attention for one in theirs):
        if "attention_received/top_position" in found:
            yield _top_positions(found["attention_received/top_position"], theirs)
        if "scores/query_position" in found:
            yield _score_places(found, theirs)
        yield from sink_counts(found, theirs)
    for site in SITES:
        for width in (16, 32):
            path = f"{site}/block{width}_histogram"
            rows = _rows(theirs, site) if path in found else None
            if rows is not None:
                yield _bins(path, found[path], rows, width)
    if "experts/token_experts" in found and all(one.inside.experts for one in theirs):
        yield from _expert_rows(found, theirs)
    for site in SITES:
        rows = _rows(theirs, site) if f"store/{site}" in found else None
        if rows is not None:
            yield _stored(found, site, rows)
    yield from event_lines(found, theirs)
    yield from lifecycle_lines(found, theirs)


def _top_positions(positions: np.ndarray, theirs: Sequence[Pass]) -> tuple[str, float, str]:
    """By how much the key that was chosen receives less than the one that receives most."""
    worst, place = 0.0, ""
    for sequence, one in enumerate(theirs):
        for layer, attention in one.inside.attention.items():
            half = _first_half(attention.received)
            at = positions[layer, sequence].astype(np.int64)
            most = half.max(axis=1)
            inside = at < half.shape[1]
            chosen = half[np.arange(len(half)), np.where(inside, at, 0)]
            error = np.where(inside, (most - chosen) / np.maximum(most, 1e-30), np.inf)
            error = np.where(most < 0, np.where(at == NONE, 0, np.inf), error)
            if error.max() > worst:
                worst, place = float(error.max()), f"layer {layer}, window {sequence}, head {error.argmax()}"
    return "attention_received/top_position", worst, place


def _score_places(found: Found, theirs: Sequence[Pass]) -> tuple[str, float, str]:
    """By how much the largest score of a window that has the pair for it is below the largest of all."""
    worst, place = 0.0, ""
    queries, keys = (found[f"scores/{name}_position"].astype(np.int64) for name in ("query", "key"))
    for layer in theirs[0].inside.attention:
        windows = [one.inside.attention[layer] for one in theirs]
        for head, (query, key) in enumerate(zip(queries[layer], keys[layer], strict=True)):
            most = max(one.largest[head] for one in windows)
            here = [one.largest[head] for one in windows if one.is_near(head, query, key)]
            error = (most - max(here)) / max(abs(most), 1e-30) if here else np.inf
            if error > worst:
                worst, place = float(error), f"layer {layer}, head {head}"
    return "scores/position", worst, place


def _bins(
    path: str, histogram: np.ndarray, rows: list[np.ndarray], width: int
) -> tuple[str, float, str]:
    """The share of blocks in other bins, without those whose magnitude is at an edge but for rounding."""
    worst, place = 0.0, ""
    for layer, of_layer in enumerate(rows):
        filled = np.pad(of_layer, [(0, 0), (0, -of_layer.shape[1] % width)])
        blocks = np.abs(filled).reshape(len(of_layer), filled.shape[1] // width, width)
        largest = blocks.max(axis=2).astype(np.float32).ravel()
        count = np.bincount(_bin_of(largest), minlength=histogram.shape[1])
        near = _bin_of(largest * np.float32(1 - EDGE)) != _bin_of(largest * np.float32(1 + EDGE))
        moved = np.abs(count - histogram[layer]).sum() / 2
        error = max(0.0, moved - near.sum()) / max(1, len(largest))
        if error > worst:
            worst, place = float(error), f"layer {layer}"
    return path, worst, place


def _bin_of(magnitudes: np.ndarray) -> np.ndarray:
    """The upper 16 bits of a float32."""
    return (magnitudes.astype("<f4").view("<u4") >> 16).astype(np.int64)


def _expert_rows(found: Found, theirs: Sequence[Pass]) -> Iterator[tuple[str, float, str]]:
    """The share of tokens with other experts, or with experts out of the order of their weights; and the
    largest difference of a weight."""
    other = dict.fromkeys(("experts/token_experts", "experts/token_gates"), (0.0, ""))
    for layer in theirs[0].inside.experts:
        is_chosen, gates = (
            np.concatenate([getattr(one.inside.experts[layer], name) for one in theirs])
            for name in ("is_chosen", "gates")
        )
        chosen, mine = (found[f"experts/token_{name}"][layer] for name in ("experts", "gates"))
        ids = np.minimum(chosen.astype(np.int64), gates.shape[1] - 1)  # none has the largest id there is
        is_once = (np.diff(np.sort(ids)) > 0).all(axis=1)
        has_theirs = np.take_along_axis(is_chosen, ids, axis=1).all(axis=1) & is_once
        in_order = (np.diff(mine) <= 0).all(axis=1)
        errors = {
            "experts/token_experts": float(1 - (has_theirs & in_order).mean()),
            "experts/token_gates": float(np.abs(np.take_along_axis(gates, ids, axis=1) - mine).max()),
        }
        for name, error in errors.items():
            other[name] = max(other[name], (np.inf if np.isnan(error) else error, f"layer {layer}"))
    for name, (error, place) in other.items():
        yield name, error, place if error > 0 else ""


def _stored(found: Found, site: str, rows: list[np.ndarray]) -> tuple[str, float, str]:
    """Of the rows of tokens in the store, in units of the channel's largest magnitude in the layer."""
    worst, place = 0.0, ""
    tokens = found["store/token"].astype(np.int64)
    for number, layer in enumerate(found["store/stored_layer"]):
        theirs = rows[layer]
        if len(theirs) == 0 or len(tokens) == 0:
            continue
        mine = found[f"store/{site}"][:, number, : theirs.shape[1]]
        error = np.abs(mine - theirs[tokens]) / channel_scale([theirs[None]])[0]
        largest = float(np.where(np.isnan(error), np.inf, error).max())
        if largest > worst:
            worst, place = largest, f"layer {layer}"
    return f"store/{site}", worst, place or f"{len(tokens):,} tokens"
