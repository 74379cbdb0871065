"""Cosines of the residual stream and participation ratios of its rows by numpy, from transformers'
hidden states: with eigenvalues of the whole T x T Gram matrix.

Definitions: docs/statistics.md, "Geometry".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .bounds import assert_near
from .inner_oracle import InBoth, Inner
from .second_look_reference import reference_of


def cosine(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Of rows."""
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    return (left * right).sum(axis=-1) / norms


def with_first(inner: Inner) -> np.ndarray:
    """[layers + 1, n]."""
    return np.stack([cosine(rows, rows[:1]) for rows in inner.residual])


def with_layer_before(inner: Inner) -> np.ndarray:
    """[layers + 1, n]: NaN for the embedding."""
    pairs = zip(inner.residual[1:], inner.residual[:-1], strict=True)
    nothing = np.full(len(inner.residual[0]), np.nan)
    return np.stack([nothing, *(cosine(*pair) for pair in pairs)])


def participation(rows: np.ndarray) -> float:
    eigenvalues = np.linalg.eigvalsh(rows @ rows.T)
    return eigenvalues.sum() ** 2 / (eigenvalues**2).sum()


def participations(inner: Inner) -> np.ndarray:
    """[layers + 1, 1 sequence]."""
    return np.array([[participation(rows)] for rows in inner.residual])


def normed_participations(inner: Inner) -> np.ndarray:
    normed = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in inner.residual)
    return np.array([[participation(rows)] for rows in normed])


DATASETS: dict[str, Callable[[Inner], np.ndarray]] = {
    "geometry/token_cos_first": with_first,
    "geometry/token_cos_previous": with_layer_before,
    "geometry/participation": participations,
    "geometry/participation_normed": normed_participations,
}


def over_windows(of: Callable[[Inner], np.ndarray], inners: Sequence[Inner]) -> np.ndarray:
    return np.concatenate([of(inner) for inner in inners], axis=1)


def check_geometry(found: dict[str, np.ndarray], inners: InBoth) -> float:
    """The largest error, as a part of what is allowed. A cosine's size is 1."""
    parts = []
    for path, of in DATASETS.items():
        assert found[path].dtype == np.float32
        exact, *samples = (over_windows(of, x) for x in (inners.exact, *inners.samples))
        reference = reference_of(exact, samples)
        if "token" in path:
            np.maximum(reference.size, 1, out=reference.size, where=~np.isnan(exact))
        parts.append(assert_near(path, found[path], reference))
    return max(parts)
