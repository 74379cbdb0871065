"""The statistics of a site by numpy, from what transformers' hooks have seen, and the bound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .inner_oracle import Inner

CLASSES = 4
NEAR = 1e-4  # of the largest value of a layer and dataset


def assert_near(name: str, found: np.ndarray, expected: np.ndarray, near: float = NEAR) -> None:
    """By layer, in units of the layer's largest magnitude."""
    assert found.shape == expected.shape, name
    axes = tuple(range(1, expected.ndim))
    with np.errstate(invalid="ignore"):
        scale = np.nanmax(np.abs(expected), axis=axes, keepdims=True) if axes else np.abs(expected)
    error = np.abs(found - expected) / np.maximum(scale, 1e-6)
    assert np.nanmax(error) <= near, f"{name}: {np.nanmax(error)} of a layer's largest"
    assert (np.isnan(found) == np.isnan(expected)).all(), name


def rows_of_site(inners: Sequence[Inner], site: str) -> np.ndarray:
    """float64 [layers of the file, N, channels]; NaN in layer 0."""
    inner = [np.stack(inner.sites[site]) for inner in inners]  # each [layers, n, channels]
    rows = np.concatenate(inner, axis=1)
    nothing = np.full((1, *rows.shape[1:]), np.nan)
    return rows if site == "final_norm" else np.concatenate([nothing, rows])


def site_references(
    inners: Sequence[Inner], site: str, classes: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """By dataset. `classes`: of the tokens of each inner."""
    rows = rows_of_site(inners, site)
    magnitude = np.abs(rows)
    zeroed = np.nan_to_num(rows)
    of_class = np.concatenate(classes)
    order = np.argsort(-magnitude, axis=2, kind="stable")[:, :, :3]
    middle = (rows.shape[2] - 1) // 2
    sums = [zeroed[:, of_class == kind].sum(axis=1) for kind in range(CLASSES)]
    return {
        "token_top_value": np.take_along_axis(rows, order, axis=2),
        "token_median_magnitude": np.partition(magnitude, middle, axis=2)[:, :, middle],
        "token_norm": np.linalg.norm(rows, axis=2),
        "count": (~np.isnan(rows[:, :, 0])).sum(axis=1),
        "channel_sum": zeroed.sum(axis=1),
        "channel_sum_square": (zeroed**2).sum(axis=1),
        "channel_sum_fourth": (zeroed**4).sum(axis=1),
        "channel_max_magnitude": np.abs(zeroed).max(axis=1),
        "class_sum": np.stack(sums, axis=1),
    }


def assert_site(
    datasets: dict[str, np.ndarray],
    site: str,
    inners: Sequence[Inner],
    classes: Sequence[np.ndarray],
) -> None:
    for dataset, expected in site_references(inners, site, classes).items():
        # The fourth power has four times the relative error.
        near = 4 * NEAR if dataset == "channel_sum_fourth" else NEAR
        found = datasets[f"{site}/{dataset}"]
        if dataset == "token_top_value":  # near ties may stand in either order
            found, expected = np.abs(found), np.abs(expected)
        assert_near(f"{site}/{dataset}", found, expected, near)
