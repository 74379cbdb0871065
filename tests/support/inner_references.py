"""The statistics of a site by numpy, from what transformers' hooks have seen, and their bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .bounds import Reference, assert_near, channel_scale
from .inner_oracle import InBoth, Inner
from .statistics_reference import excess_kurtosis

CLASSES = 4
AROUND = 2.0  # a median is among the magnitudes of its row from a half of it to twice it


def rows_of_site(inners: Sequence[Inner], site: str) -> np.ndarray:
    """float64 [layers of the file, N, channels]; NaN in layer 0."""
    inner = [np.stack(inner.sites[site]) for inner in inners]  # each [layers, n, channels]
    rows = np.concatenate(inner, axis=1)
    nothing = np.full((1, *rows.shape[1:]), np.nan)
    return rows if site == "final_norm" else np.concatenate([nothing, rows])


def row_references(
    exact: np.ndarray, single: np.ndarray, classes: Sequence[np.ndarray]
) -> dict[str, Reference]:
    """By dataset, of rows [layers, N, channels] in both precisions. `classes`: of windows' tokens.

    The error of a sum is at most the sum of its terms' errors, that of an order statistic the largest
    of those around it.
    """
    x, e = np.nan_to_num(exact), np.nan_to_num(np.abs(single - exact))
    magnitude, of_class = np.abs(exact), np.concatenate(classes)
    scale = np.maximum(channel_scale([x]), 1e-30)  # [layers, 1, channels]
    largest = -np.sort(-magnitude, axis=2)[:, :, :3]
    middle = (exact.shape[2] - 1) // 2
    median = np.partition(magnitude, middle, axis=2)[:, :, middle]
    near = (magnitude >= median[..., None] / AROUND) & (magnitude <= AROUND * median[..., None])
    norm = np.linalg.norm(exact, axis=2)
    found = {
        # Magnitudes: near ties may stand in either order.
        "token_top_value": Reference(largest, e.max(axis=2), largest),
        "token_median_magnitude": Reference(median, (e * near).max(axis=2), median),
        "token_norm": Reference(norm, np.linalg.norm(e, axis=2), norm),
        "count": exact_reference((~np.isnan(exact[:, :, 0])).sum(axis=1)),
        "channel_max_magnitude": Reference(
            np.abs(x).max(axis=1), e.max(axis=1), np.abs(x).max(axis=1), scale[:, 0]
        ),
    }
    found |= quantiser_references(exact, single, e)
    for name, power in (("", 1), ("_square", 2), ("_fourth", 4)):
        terms, errors, sizes = x**power, power * np.abs(x) ** (power - 1) * e, np.abs(x) ** power
        found[f"channel_sum{name}"] = Reference(
            terms.sum(axis=1), errors.sum(axis=1), sizes.sum(axis=1), scale[:, 0] ** power
        )
        of_classes = (
            np.stack([each[:, of_class == kind].sum(axis=1) for kind in range(CLASSES)], axis=1)
            for each in (terms, errors, sizes)
        )
        found[f"class_sum{name}"] = Reference(*of_classes, scale**power)
    return found


def quantiser_references(
    exact: np.ndarray, single: np.ndarray, error: np.ndarray
) -> dict[str, Reference]:
    """Of rows [layers, N, channels] in both precisions; a layer without rows has what no token gives."""
    is_absent = np.isnan(exact[:, 0, 0])
    found = {}
    for name, choose, nothing in (("channel_min", np.min, np.inf), ("channel_max", np.max, -np.inf)):
        values = choose(np.nan_to_num(exact), axis=1)
        known = np.where(is_absent[:, None], nothing, values)
        found[name] = Reference(known, error.max(axis=1), np.abs(values))
    of_tokens, rounded = excess_kurtosis(exact), excess_kurtosis(single)
    errors, sizes = np.nan_to_num(np.abs(rounded - of_tokens)), np.nan_to_num(np.abs(of_tokens) + 3)
    largest = np.where(is_absent, -np.inf, np.nan_to_num(of_tokens).max(axis=1))
    return found | {
        "kurtosis_count": exact_reference(np.isfinite(of_tokens).sum(axis=1)),
        "kurtosis_sum": Reference(
            np.nansum(of_tokens, axis=1), errors.sum(axis=1), sizes.sum(axis=1)
        ),
        "kurtosis_max": Reference(largest, errors.max(axis=1), sizes.max(axis=1)),
    }


def sequence_references(
    exact: Sequence[np.ndarray], single: Sequence[np.ndarray]
) -> dict[str, Reference]:
    """Of whole windows [layers, n, channels]: the largest magnitudes and the median, [layers, S, …]."""
    largest, median = [], []
    for x, rounded in zip(exact, single, strict=True):
        flat = np.abs(x).reshape(len(x), -1)
        error = np.abs(rounded - x).reshape(flat.shape)
        ordered = np.sort(flat, axis=1)
        middle = ordered[:, [(flat.shape[1] - 1) // 2]]
        near = (flat >= middle / AROUND) & (flat <= AROUND * middle)
        largest.append((ordered[:, :-4:-1], error.max(axis=1)))
        median.append((middle[:, 0], (error * near).max(axis=1)))
    found = {}
    for name, of in (("sequence_top_value", largest), ("sequence_median_magnitude", median)):
        values, errors = (np.stack(each, axis=1) for each in zip(*of, strict=True))
        found[name] = Reference(values, errors, values)
    return found


def exact_reference(values: np.ndarray) -> Reference:
    """Of what no rounding may change."""
    nothing = np.zeros(values.shape)
    return Reference(values, nothing, nothing)


def assert_rows(
    datasets: dict[str, np.ndarray], site: str, references: dict[str, Reference]
) -> float:
    """Those that the file has of a site, which are nearly all. Returns the largest part of what is
    allowed."""
    kept = {name: each for name, each in references.items() if f"{site}/{name}" in datasets}
    assert len(kept) > 7, kept.keys()
    parts = []
    for name, reference in kept.items():
        found = datasets[f"{site}/{name}"]
        values = np.abs(found) if name == "token_top_value" else found
        parts.append(assert_near(f"{site}/{name}", values, reference))
    return max(parts)


def assert_site(
    datasets: dict[str, np.ndarray], site: str, inners: InBoth, classes: Sequence[np.ndarray]
) -> float:
    exact, single = (rows_of_site(of, site) for of in (inners.exact, inners.single))
    if f"{site}/channel_max_token" in datasets:
        assert_largest_tokens(datasets[f"{site}/channel_max_token"], exact, single)
    return assert_rows(datasets, site, row_references(exact, single, classes))


def assert_largest_tokens(tokens: np.ndarray, exact: np.ndarray, single: np.ndarray) -> None:
    """Of channels [layers, C], the tokens of their largest magnitudes: no other token's is larger, but
    for rounding. A layer without rows names none."""
    magnitude, error = np.abs(np.nan_to_num(exact)), np.nan_to_num(np.abs(single - exact))
    largest = magnitude.max(axis=1)
    np.testing.assert_array_equal(tokens >= 0, largest > 0)
    np.testing.assert_array_equal(tokens[tokens < 0], -1)
    chosen = np.take_along_axis(magnitude, np.maximum(tokens, 0)[:, None], axis=1)[:, 0]
    scale = np.maximum(channel_scale([magnitude]), 1e-30)[:, 0]
    assert_near("channel_max_token", chosen, Reference(largest, error.max(axis=1), largest, scale))


def square_reference(exact: np.ndarray, single: np.ndarray, axis: int) -> Reference:
    """Sums of squares along an axis."""
    error = 2 * np.abs(exact) * np.abs(single - exact)
    square = (exact**2).sum(axis=axis)
    return Reference(square, error.sum(axis=axis), square)


def stack_layers(references: Sequence[Reference]) -> Reference:
    """Of each block; the file's layer 0, the embedding, has nothing."""
    parts = ("exact", "error", "size")
    arrays = ([getattr(each, part) for each in references] for part in parts)
    return Reference(*(np.stack([np.zeros_like(each[0]), *each]) for each in arrays))


def head_square_references(inners: InBoth, site: str) -> Reference:
    """Sums of squares of queries or keys after rotary positions, [layers of the file, heads, D]."""
    exact, single = (
        [
            np.concatenate([getattr(inner.attention[layer], site) for inner in of], axis=1)
            for layer in range(len(inners.exact[0].attention))
        ]
        for of in (inners.exact, inners.single)
    )
    pairs = zip(exact, single, strict=True)
    return stack_layers([square_reference(*pair, axis=1) for pair in pairs])


def assert_expert_rows(
    datasets: dict[str, np.ndarray], inners: InBoth, part: str, layer: int
) -> None:
    """Of every expert's tokens in a layer, by channel: sums, sums of squares, largest magnitudes, and
    signed ranges; of an expert without tokens what none gives."""
    exact, single = (
        [
            np.concatenate([inner.expert_rows[layer][expert][part] for inner in of])
            for expert in range(len(of[0].expert_rows[layer]))
        ]
        for of in (inners.exact, inners.single)
    )
    pairs = list(zip(exact, single, strict=True))
    squares = [square_reference(*pair, axis=0) for pair in pairs]
    largest = [
        Reference(*(np.abs(x).max(axis=0, initial=0) for x in (a, b - a, a))) for a, b in pairs
    ]
    sums = [Reference(*(x.sum(axis=0) for x in (a, np.abs(b - a), np.abs(a)))) for a, b in pairs]
    by_name = {"sum": sums, "sum_square": squares, "max_magnitude": largest}
    for name, end, nothing in (("min", np.min, np.inf), ("max", np.max, -np.inf)):
        by_name[name] = [
            Reference(
                end(a, axis=0, initial=nothing),
                *(np.abs(x).max(axis=0, initial=0) for x in (b - a, a)),
            )
            for a, b in pairs
        ]
    for name, of_experts in by_name.items():
        together = Reference(
            *(np.stack([getattr(r, p) for r in of_experts])[None] for p in ("exact", "error", "size"))
        )
        name = f"experts/{part}_{name}"
        assert_near(name, datasets[name][None, layer + 1], together)
