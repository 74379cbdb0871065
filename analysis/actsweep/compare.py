"""Two sweep files: the same model twice, or two models.

In: two opened sweeps. Out, for one model: every dataset's largest difference and whether it keeps
its bound. Sums of floats (`merge` "sum") may differ by a share of the largest magnitude beside them
(same leading index: the same layer); everything else, selections, counts, ids, extrema, is exact.
Out, for two models: a table of what they show. Datasets are read in blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from tqdm import tqdm

from .results import attention, location
from .store import BITS_OF, widened
from .sweep import Sweep

SUM_TOLERANCE = 1e-12
ELEMENTS_PER_READ = 1 << 22
# Rows of the table of two models, and their columns in the table of existence.
MAGNITUDES = {
    "largest magnitude": "top 1",
    "in layer": "layer",
    "median magnitude": "median",
    "ratio": "ratio",
    "massive activations": "massive activations",
    "massive channels": "channels",
    "massive layers": "layers",
}


@dataclass(frozen=True)
class Difference:
    """How far one dataset differs; `found` and `bound` are relative unless `bound` is 0."""

    dataset: str
    found: float
    bound: float
    remark: str = ""

    @property
    def passes(self) -> bool:
        """Whether the difference keeps its bound."""
        return not self.remark and self.found <= self.bound


def same_model(a: Sweep, b: Sweep) -> bool:
    """Whether both files are of one checkpoint."""
    return a.attributes["model_fingerprint"] == b.attributes["model_fingerprint"]


def identity_differences(a: Sweep, b: Sweep) -> list[str]:
    """The keys of the jobs' identities that differ, as "key: first, second"."""
    first, second = (json.loads(sweep.attributes.get("identity", "{}")) for sweep in (a, b))
    return [
        f"{key}: {first.get(key, 'absent')}, {second.get(key, 'absent')}"
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]


def differences(a: Path, b: Path, tolerance: float | None = None) -> list[Difference]:
    """All datasets of both files. `tolerance` bounds every dataset of floats, not sums alone."""
    with h5py.File(a) as first, h5py.File(b) as second:
        mine, theirs = _datasets(first), _datasets(second)
        names = sorted(mine | theirs)
        found = []
        for name in tqdm(names, desc="compare", unit="dataset", disable=None):
            if name not in mine or name not in theirs:
                missing = a if name not in mine else b
                found.append(Difference(name, np.inf, 0, f"not in {missing}"))
            else:
                found.append(_difference(first[name], second[name], tolerance))
    return found


def _datasets(file: h5py.File) -> set[str]:
    """The paths of all datasets but the axes without values."""
    names: set[str] = set()

    def visit(path: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            is_axis = item.is_scale and "merge" not in item.attrs
            if not is_axis:
                names.add(path)

    file.visititems(visit)
    return names


def _difference(a: h5py.Dataset, b: h5py.Dataset, tolerance: float | None) -> Difference:
    name = a.name.lstrip("/")
    if a.shape != b.shape or a.dtype != b.dtype:
        shapes = f"{a.dtype} {list(a.shape)} and {b.dtype} {list(b.shape)}"
        return Difference(name, np.inf, 0, f"differ in form: {shapes}")
    is_float = a.dtype.kind == "f" or BITS_OF in a.attrs
    is_sum = is_float and a.attrs.get("merge") == "sum"
    bound = (tolerance if tolerance is not None else SUM_TOLERANCE * is_sum) if is_float else 0.0
    found = (_largest_gap(a, b, layer, is_relative=bound > 0) for layer in _layers(a))
    return Difference(name, max(found, default=0.0), bound)


Part = tuple[slice, ...]


def _layers(dataset: h5py.Dataset) -> Iterator[list[Part]]:
    """The parts of each layer, which share a scale: of a matrix an index of the leading axis, of the
    store one of the second."""
    if dataset.ndim == 0:
        yield [()]
    elif dataset.ndim == 1:
        yield from ([part] for part in _runs(dataset.shape[0], ELEMENTS_PER_READ))
    elif dataset.name.startswith("/store/"):
        # In chunks as they lie in the file: each is read once.
        rows = _runs(dataset.shape[0], (dataset.chunks or dataset.shape)[0])
        for (layer,) in _runs(dataset.shape[1], 1):
            yield [(*part, layer) for part in rows]
    else:
        yield from ([part] for part in _runs(dataset.shape[0], 1))


def _runs(length: int, step: int) -> list[Part]:
    return [(slice(start, start + step),) for start in range(0, length, max(1, step))]


def _largest_gap(
    a: h5py.Dataset, b: h5py.Dataset, layer: list[Part], *, is_relative: bool
) -> float:
    """Over the parts of a layer; relative to the largest magnitude of either there."""
    gap = scale = 0.0
    for part in layer:
        mine, theirs = _numbers(a, part), _numbers(b, part)
        gap = max(gap, _absolute(mine, theirs))
        if is_relative:
            scale = max(scale, _largest(mine), _largest(theirs))
    return gap / scale if gap and scale else gap


def _numbers(dataset: h5py.Dataset, part: Part) -> np.ndarray:
    values = dataset[part]
    return widened(values) if BITS_OF in dataset.attrs else values


def _absolute(a: np.ndarray, b: np.ndarray) -> float:
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    unequal = (a != b) & ~(_is_nan(a) & _is_nan(b))
    if not unequal.any():
        return 0.0
    gap = np.abs(a[unequal].astype(np.float64) - b[unequal].astype(np.float64)).max()
    return float(gap) if np.isfinite(gap) and gap > 0 else np.inf


def _largest(values: np.ndarray) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0))


def _is_nan(values: np.ndarray) -> np.ndarray:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def overview(sweep: Sweep) -> pd.Series:
    """What one file shows, by the official reading of the criterion."""
    facts = {
        "family": sweep.attributes["model_family"],
        "layers": sweep.attributes["num_layers"],
        "channels": sweep.attributes["hidden_size"],
    }
    if sweep.has("residual"):
        row = location.existence(sweep, location.layer_curves(sweep)).iloc[0]
        facts |= {name: row[column] for name, column in MAGNITUDES.items()}
    else:
        facts |= dict.fromkeys(MAGNITUDES, np.nan)
    facts["perplexity"] = np.nan if sweep.perplexity is None else sweep.perplexity
    if sweep.has("attention"):
        metric = attention.sink_metric(attention.sink_shares(sweep))
        for _, one in metric[metric["window"] == attention.WHOLE].iterrows():
            facts[f"sink metric, ε = {one['epsilon']:g}"] = one["metric"]
    return pd.Series(facts, dtype=object)
