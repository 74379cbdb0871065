"""Stored activations as safetensors, in shards of rows, for dictionary learning and probes.

In: a `Sweep` with `/store`. Out: a folder of shards and, written last, an index. A shard holds the
same rows of every tensor: "SITE.LAYER" [rows, channels] in the stored type, and beside them "token",
"token_id", "position", "sequence" and "document" [rows]. Refuses a site or layer that is not stored
(ValueError), and a folder that holds something (OutputError). In memory is one tensor of a shard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr

from .output import OutputError, whole_file, writing
from .store import stored_bits, stored_sites
from .sweep import Sweep

INDEX = "activations.safetensors.index.json"
SHARD_BYTES = 1 << 30
# By type in the file: safetensors' word.
DTYPES = {np.dtype("float32"): "F32", np.dtype("uint16"): "BF16", np.dtype("int64"): "I64"}
# Columns of /tokens beside each row, by their names in a shard.
LABELS = {"token_id": "id", "position": "position", "sequence": "sequence", "document": "document"}
FACTS = ("model_name", "model_fingerprint", "corpus_fingerprint")


@dataclass(frozen=True)
class Tensor:
    """A site and layer, lazily."""

    name: str
    site: str
    layer: int
    values: xr.Variable  # [row, channel], as stored

    @property
    def row_bytes(self) -> int:
        return self.values.shape[1] * self.values.dtype.itemsize


@dataclass(frozen=True)
class Shards:
    """What was written."""

    tensors: list[str]
    rows: int
    files: list[str]
    notes: list[str]


def export_activations(
    sweep: Sweep,
    folder: str | os.PathLike[str],
    sites: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Shards:
    """Writes the shards and their index; `sites` and `layers`: all that are stored."""
    store = sweep.stored_group()
    tensors, notes = _present(_tensors(sweep, store, sites, layers))
    if not tensors:
        raise ValueError(f"{sweep.path}: nothing to export: {notes[0] if notes else 'no row is stored'}")
    folder = Path(folder)
    _make_empty(folder)
    columns, rows = _columns(sweep, store), store.sizes["row"]
    parts = _parts(rows, shard_bytes // sum(tensor.row_bytes for tensor in tensors))
    names = [f"activations-{i + 1:05}-of-{len(parts):05}.safetensors" for i in range(len(parts))]
    for name, part in zip(names, parts, strict=True):
        _write_shard(folder / name, sweep, _entries(columns, tensors, part))
    index = {
        "metadata": _facts(sweep, tensors, rows),
        "tensors": _described(tensors),
        "shards": [
            {"file": name, "first_row": part.start, "rows": part.stop - part.start}
            for name, part in zip(names, parts, strict=True)
        ],
    }
    with whole_file(folder / INDEX, sweep.path) as unfinished:
        unfinished.write_text(json.dumps(index, indent=1) + "\n")
    return Shards([tensor.name for tensor in tensors], rows, names, notes)


def _parts(rows: int, at_a_time: int) -> list[slice]:
    """Runs of rows; at least one row each."""
    step = max(1, at_a_time)
    return [slice(first, min(rows, first + step)) for first in range(0, rows, step)]


def _tensors(
    sweep: Sweep, store: xr.Dataset, sites: Sequence[str] | None, layers: Sequence[int] | None
) -> Iterator[Tensor]:
    """Each site and layer that is asked for."""
    stored = [int(layer) for layer in store["stored_layer"].values]
    for layer in layers or []:
        if layer not in stored:
            found = ", ".join(map(str, stored))
            raise ValueError(f"{sweep.path}: no activations of layer {layer} in /store; stored: {found}")
    for site in sites or stored_sites(store):
        values = stored_bits(store, site, sweep.path)
        if "stored_layer" not in values.dims:  # the final norm has the last layer alone
            last = int(sweep.attributes["num_layers"])
            yield Tensor(f"{site}.{last}", site, last, values[:, 0])
            continue
        for place, layer in enumerate(stored):
            if layers is None or layer in layers:
                yield Tensor(f"{site}.{layer}", site, layer, values[:, place])


def _present(tensors: Iterator[Tensor]) -> tuple[list[Tensor], list[str]]:
    """Those of layers that have the site, and what is said of the others."""
    found, notes = [], []
    for tensor in tensors:
        if _is_absent(tensor):
            notes.append(f"layer {tensor.layer}: without {tensor.site}: no tensor {tensor.name}")
        elif tensor.values.shape[0]:
            found.append(tensor)
    return found, notes


def _is_absent(tensor: Tensor, rows_at_a_time: int = 4096) -> bool:
    """Whether every number is NaN: the layer lacks the site. Reads no more than up to the first row
    that is not."""
    values = tensor.values
    for first in range(0, values.shape[0], rows_at_a_time):
        part = values[first : first + rows_at_a_time].values
        if not (_is_nan_bits(part) if part.dtype == np.uint16 else np.isnan(part)).all():
            return False
    return values.shape[0] > 0


def _is_nan_bits(bits: np.ndarray) -> np.ndarray:
    """Of bfloat16: all bits of the exponent, and one of the mantissa."""
    return (bits & 0x7FFF) > 0x7F80


Column = Callable[[slice], np.ndarray]  # int64 [rows] of a run of rows


def _columns(sweep: Sweep, store: xr.Dataset) -> dict[str, Column]:
    """The token of each row, and what /tokens says of it, by their names in a shard."""
    token = store["token"].variable

    def column(name: str) -> Column:
        values = sweep.tokens[name].variable

        def read(part: slice) -> np.ndarray:
            numbers = token[part].values
            first, last = int(numbers[0]), int(numbers[-1])  # they rise
            return values[first : last + 1].values[numbers - first].astype(np.int64)

        return read

    labels = {name: column(source) for name, source in LABELS.items()}
    return {"token": lambda part: token[part].values, **labels}


@dataclass(frozen=True)
class Entry:
    """A tensor of one shard."""

    name: str
    dtype: str  # safetensors' word
    shape: list[int]
    bytes: int
    read: Callable[[], np.ndarray]


def _entries(columns: Mapping[str, Column], tensors: Sequence[Tensor], part: slice) -> list[Entry]:
    """All that a shard of these rows holds."""
    rows = part.stop - part.start
    found = [
        Entry(name, "I64", [rows], 8 * rows, partial(read, part)) for name, read in columns.items()
    ]
    for tensor in tensors:
        values = tensor.values
        shape = [rows, values.shape[1]]
        read = partial(_values, values, part)
        found.append(Entry(tensor.name, DTYPES[values.dtype], shape, rows * tensor.row_bytes, read))
    return found


def _values(values: xr.Variable, part: slice) -> np.ndarray:
    return values[part].values


def _write_shard(path: Path, sweep: Sweep, entries: Sequence[Entry]) -> None:
    """In safetensors' format: the header's length, the header, the values of one tensor after another."""
    header: dict[str, object] = {"__metadata__": {name: str(sweep.attributes[name]) for name in FACTS}}
    end = 0
    for entry in entries:
        begin, end = end, end + entry.bytes
        header[entry.name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with whole_file(path, sweep.path) as unfinished, unfinished.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for entry in entries:
            file.write(np.ascontiguousarray(entry.read()).data)


def _make_empty(folder: Path) -> None:
    with writing(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; expected a folder for the shards")
        folder.mkdir(parents=True, exist_ok=True)
        found = next(folder.iterdir(), None)
    if found is not None:
        raise OutputError(f"{folder}: expected an empty folder for the shards, found {found.name}")


def _facts(sweep: Sweep, tensors: Sequence[Tensor], rows: int) -> dict[str, object]:
    size = rows * (sum(tensor.row_bytes for tensor in tensors) + 8 * (len(LABELS) + 1))
    return {**{name: sweep.attributes[name] for name in FACTS}, "rows": rows, "total_size": size}


def _described(tensors: Sequence[Tensor]) -> dict[str, object]:
    return {
        tensor.name: {
            "site": tensor.site,
            "layer": tensor.layer,
            "channels": tensor.values.shape[1],
            "dtype": DTYPES[tensor.values.dtype],
        }
        for tensor in tensors
    }
