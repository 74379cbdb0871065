"""Writes small sweep files with h5py, as the output format says, from given residual states.

The statistics are computed here by themselves, plainly, in numpy: the tests compare the package
with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from layer_lists import attribute_of

MAGNITUDE_BINS = 32640
NO_VALUES = "This is a netCDF dimension but not a netCDF variable. %9d"
MERGE_BY_AXIS = {"token": "rows", "sequence": "rows", "row": "rows", "event": "gather"}


@dataclass
class Sample:
    """States of a model and what they are labelled with."""

    residual: np.ndarray  # [L + 1, S, T, C] float32
    ids: np.ndarray  # [S, T] uint32
    classes: np.ndarray  # [S, T] uint8
    vocabulary: list[bytes]
    captures: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """name: (ids [T], residual [L + 1, T, C])"""
    top_k: int = 3
    criterion: tuple[float, float] = (100.0, 1000.0)
    max_events: int = 10
    model_name: str = "sample_model"
    bos: str = "none"
    roles: np.ndarray | None = None  # [S, T] uint8, of chats

    def attributes(self) -> dict[str, object]:
        layers, _, _, channels = self.residual.shape
        magnitude, ratio = self.criterion
        job = (
            f'[model]\npath = "models/sample"\n\n[corpus]\npath = "corpora/sample.h5"\n'
            f'bos = "{self.bos}"\n\n[statistics]\nsites = ["residual"]\n'
            f"top_k = {self.top_k}\ncriterion_magnitude = {magnitude}\n"
            f"criterion_ratio = {ratio}\nmax_events = {self.max_events}\n"
        )
        return {
            "schema": "actsweep",
            "schema_version": 1,
            "software_version": "0.1.0",
            "git_commit": "0" * 40,
            "created": "2025-01-31T12:00:00Z",
            "job": job,
            "model_family": "llama",
            "model_name": self.model_name,
            "linear_layers": attribute_of("llama"),
            "model_fingerprint": "m" * 64,
            "corpus_fingerprint": "c" * 64,
            "tokenizer_fingerprint": "t" * 64,
            "num_layers": layers - 1,
            "hidden_size": channels,
            "dtype": "float32",
            "residual_dtype": "float32",
            "model_group_size": 1,
            "threads": 1,
            "device": "cpu",
            "mixed_devices": 0,
            "libraries": "{}",
        }


def write_sweep(path: Path, sample: Sample) -> Path:
    """Writes a complete sweep file of `sample`."""
    with h5py.File(path, "w") as file:
        file.attrs.update(sample.attributes())
        scales = _write_scales(file, sample)
        _write_tokens(file, scales, sample)
        _write_vocabulary(file, sample.vocabulary)
        write_site(file, scales, "residual", sample.residual, sample)
        _write_massive(file, scales, sample)
        _write_massive_corpus(file, scales, sample)
        for name, (ids, residual) in sample.captures.items():
            _write_capture(file, scales, name, ids, residual)
        file.attrs["complete"] = 1
    return path


def bin_edges() -> np.ndarray:
    """[magnitude_bin] float32: the lower edges."""
    return (np.arange(MAGNITUDE_BINS, dtype=np.uint32) << 16).view(np.float32)


def add_scale(group: h5py.Group, name: str, length: int) -> h5py.Dataset:
    """A dimension scale without values."""
    scale = group.create_dataset(name, shape=(length,), dtype="<f4")
    scale.make_scale(NO_VALUES % length)
    return scale


def add_dataset(
    group: h5py.Group, name: str, values: np.ndarray, axes: dict[str, h5py.Dataset]
) -> None:
    """A dataset with its scales and attributes."""
    dataset = group.create_dataset(name, data=values)
    attach(dataset, axes)


def attach(dataset: h5py.Dataset, axes: dict[str, h5py.Dataset]) -> None:
    """Attaches the scales in order and sets `units`, `long_name` and `merge`."""
    for index, scale in enumerate(axes.values()):
        dataset.dims[index].attach_scale(scale)
    merges = [MERGE_BY_AXIS[axis] for axis in axes if axis in MERGE_BY_AXIS]
    merge = merges[0] if merges else "max" if "max" in dataset.name else "sum"
    dataset.attrs.update(units="1", long_name=f"sample of {dataset.name}", merge=merge)


def median_of(values: np.ndarray) -> np.float32:
    """Lower median of |values|."""
    ordered = np.sort(np.abs(values), axis=None)
    return ordered[(ordered.size - 1) // 2]


def events_of(sample: Sample) -> tuple[list[dict[str, float]], np.ndarray]:
    """Events sorted by sequence, layer, falling magnitude; and [layer] how many were left out."""
    layers, sequences, length, _ = sample.residual.shape
    magnitude, ratio = sample.criterion
    events, left_out = [], np.zeros(layers, np.int64)
    for sequence in range(sequences):
        for layer in range(layers):
            x = sample.residual[layer, sequence]
            median = float(median_of(x))
            found = []
            for position, channel in np.argwhere(np.abs(x) > magnitude):
                value = float(x[position, channel])
                by_sequence = abs(value) / median
                by_token = abs(value) / float(median_of(x[position]))
                reading = (by_sequence >= ratio) + 2 * (by_token >= ratio)
                if reading:
                    token = sequence * length + position
                    found.append(
                        {
                            "layer": layer,
                            "sequence": sequence,
                            "position": position,
                            "document": 0,
                            "token": token,
                            "token_id": sample.ids[sequence, position],
                            "class": sample.classes[sequence, position],
                            "channel": channel,
                            "value": value,
                            "ratio_to_sequence_median": by_sequence,
                            "ratio_to_token_median": by_token,
                            "reading": reading,
                        }
                    )
            found.sort(key=lambda event: -abs(event["value"]))
            events += found[: sample.max_events]
            left_out[layer] += max(0, len(found) - sample.max_events)
    return events, left_out


def _write_scales(file: h5py.File, sample: Sample) -> dict[str, h5py.Dataset]:
    layers, sequences, length, channels = sample.residual.shape
    lengths = {
        "layer": layers,
        "token": sequences * length,
        "sequence": sequences,
        "channel": channels,
        "order": sample.top_k,
        "class": 4,
        "event": len(events_of(sample)[0]),
    }
    if sample.roles is not None:
        lengths["role"] = 5
    scales = {name: add_scale(file, name, size) for name, size in lengths.items()}
    edges = file.create_dataset("magnitude_bin", data=bin_edges())
    edges.make_scale("magnitude_bin")
    edges.attrs.update(units="1", long_name="lower edge", merge="constant")
    return scales | {"magnitude_bin": edges}


def _write_tokens(file: h5py.File, scales: dict[str, h5py.Dataset], sample: Sample) -> None:
    sequences, length = sample.ids.shape
    token = {"token": scales["token"]}
    group = file.create_group("tokens")
    add_dataset(group, "id", sample.ids.reshape(-1), token)
    add_dataset(group, "position", np.tile(np.arange(length, dtype="<u4"), sequences), token)
    add_dataset(group, "sequence", np.repeat(np.arange(sequences), length), token)
    add_dataset(group, "document", np.zeros(sequences * length, "<i8"), token)
    add_dataset(group, "class", sample.classes.reshape(-1), token)
    lengths = np.full(sequences, length, "<u4")
    add_dataset(
        file.create_group("sequences"), "length", lengths, {"sequence": scales["sequence"]}
    )


def _write_vocabulary(file: h5py.File, vocabulary: list[bytes]) -> None:
    raw = np.frombuffer(b"".join(vocabulary), np.uint8)
    offset = np.cumsum([0] + [len(token) for token in vocabulary]).astype("<u8")
    group = file.create_group("vocabulary")
    for name, values, axis in (
        ("bytes", raw, "vocabulary_byte"),
        ("offset", offset, "vocabulary_offset"),
    ):
        add_dataset(group, name, values, {axis: add_scale(file, axis, len(values))})


def _top(values: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k largest magnitudes of [rows, n], ties by lower index."""
    return np.argsort(-np.abs(values), axis=-1, kind="stable")[..., :k]


def write_site(
    file: h5py.File,
    scales: dict[str, h5py.Dataset],
    site: str,
    x: np.ndarray,
    sample: Sample,
    axes_of_site: tuple[str, str] = ("layer", "channel"),
) -> None:
    """The statistics of one site from its states `x` [layer, S, T, channel]."""
    layers, sequences, length, channels = x.shape
    k = sample.top_k
    group = file.create_group(site)
    renamed = dict(zip(("layer", "channel"), axes_of_site, strict=True))

    def add(name: str, values: np.ndarray, axes: str) -> None:
        names = [renamed.get(axis, axis) for axis in axes.split()]
        add_dataset(group, name, values, {axis: scales[axis] for axis in names})

    rows = x.reshape(layers, sequences * length, channels)
    top = _top(rows, k)
    add("token_top_value", np.take_along_axis(rows, top, -1), "layer token order")
    add("token_top_channel", top.astype("<u4"), "layer token order")
    medians = np.sort(np.abs(rows), axis=-1)[..., (channels - 1) // 2]
    add("token_median_magnitude", medians, "layer token")
    add("token_norm", np.linalg.norm(rows, axis=-1).astype("<f4"), "layer token")

    whole = x.reshape(layers, sequences, length * channels)
    top = _top(whole, k)
    add("sequence_top_value", np.take_along_axis(whole, top, -1), "layer sequence order")
    add("sequence_top_channel", (top % channels).astype("<u4"), "layer sequence order")
    add("sequence_top_position", (top // channels).astype("<u4"), "layer sequence order")
    medians = np.sort(np.abs(whole), axis=-1)[..., (length * channels - 1) // 2]
    add("sequence_median_magnitude", medians, "layer sequence")

    wide = rows.astype(np.float64)
    add("count", np.full(layers, sequences * length), "layer")
    add("nonfinite_tokens", np.zeros(layers, "<i8"), "layer")
    for name, power in (("sum", 1), ("sum_square", 2), ("sum_fourth", 4)):
        add(f"channel_{name}", (wide**power).sum(axis=1), "layer channel")
    add("channel_max_magnitude", np.abs(rows).max(axis=1), "layer channel")
    add("channel_count_above_6", (np.abs(rows) >= 6).sum(axis=1), "layer channel")
    bins = np.abs(rows).view(np.uint32) >> 16
    counts = [np.bincount(bins[layer].ravel(), minlength=MAGNITUDE_BINS) for layer in range(layers)]
    add("magnitude_histogram", np.stack(counts), "layer magnitude_bin")

    member = sample.classes.reshape(-1) == np.arange(4)[:, None]  # [class, token]
    add("class_count", np.tile(member.sum(axis=1), (layers, 1)), "layer class")
    add("class_sum", np.einsum("kt,ltc->lkc", member, wide), "layer class channel")
    add("class_sum_square", np.einsum("kt,ltc->lkc", member, wide**2), "layer class channel")
    if sample.roles is not None:
        speaks = sample.roles.reshape(-1) == np.arange(5)[:, None]  # [role, token]
        count = np.einsum("rt,kt->rk", speaks.astype(np.int64), member.astype(np.int64))
        add("role_count", np.tile(count, (layers, 1, 1)), "layer role class")
        for name, power in (("sum", 1), ("sum_square", 2)):
            sums = np.einsum("rt,kt,ltc->lrkc", speaks, member, wide**power)
            add(f"role_{name}", sums, "layer role class channel")


def _write_massive(file: h5py.File, scales: dict[str, h5py.Dataset], sample: Sample) -> None:
    events, left_out = events_of(sample)
    group = file.create_group("massive")
    types = {
        **dict.fromkeys(("layer", "sequence", "position", "document", "token"), "<i8"),
        **dict.fromkeys(("token_id", "channel"), "<u4"),
        **dict.fromkeys(("class", "reading"), "u1"),
        **dict.fromkeys(("value", "ratio_to_sequence_median", "ratio_to_token_median"), "<f4"),
    }
    for name, dtype in types.items():
        column = np.array([event[name] for event in events], dtype)
        add_dataset(group, name, column, {"event": scales["event"]})
    add_dataset(group, "events_left_out", left_out, {"layer": scales["layer"]})


def _write_massive_corpus(file: h5py.File, scales: dict[str, h5py.Dataset], sample: Sample) -> None:
    magnitude = np.abs(sample.residual)
    largest = magnitude.max(axis=(1, 2))  # [layer, channel]
    exact = np.array([median_of(layer) for layer in magnitude])
    median = (exact.view(np.uint32) >> 16 << 16).view(np.float32)  # the edge of its bin
    ratio = largest / median[:, None]
    criterion, least = sample.criterion
    layer, channel = np.nonzero((largest > criterion) & (ratio >= least))
    group = file.create_group("massive_corpus")
    finding = {"finding": add_scale(file, "finding", len(layer))}
    add_dataset(group, "layer", layer.astype("<i8"), finding)
    add_dataset(group, "channel", channel.astype("<u4"), finding)
    add_dataset(group, "max_magnitude", largest[layer, channel], finding)
    add_dataset(group, "ratio_to_corpus_median", ratio[layer, channel], finding)
    add_dataset(group, "median_magnitude", median, {"layer": scales["layer"]})


def _write_capture(
    file: h5py.File,
    scales: dict[str, h5py.Dataset],
    name: str,
    ids: np.ndarray,
    residual: np.ndarray,
) -> None:
    group = file.create_group(f"capture/{name}")
    token = add_scale(group, "token", len(ids))
    add_dataset(group, "id", ids.astype("<u4"), {"token": token})
    axes = {"layer": scales["layer"], "prompt": token, "channel": scales["channel"]}
    add_dataset(group, "residual", residual.astype("<f4"), axes)
