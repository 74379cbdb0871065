"""The first windows of a job as actsweep makes and sees them.

In: a job. Out: its first windows, ids or pixels, and their residual streams and losses. Windows are
those of a sweep over the job's own corpus. Their streams are those of captured prompts, so the
windows of a text are written as the prompts and documents of a token file; images are captured by
their numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..sweep import Sweep
from .key_sets import KeySets, by_place
from .program import Job, corpus_files, derived, sweep_job

ROWS = "tokens/row_token"  # the tokens of lifecycles
NOT_COMPARED = ("capture", "tokens", "vocabulary", "sequences", "documents")


@dataclass(frozen=True)
class Window:
    """One sequence of the job; what the sweep over its corpus measured of it."""

    inputs: np.ndarray  # uint32 [T] ids, or float32 [3, height, width] pixels
    norms: np.ndarray  # float32 [L + 1, T]: Euclidean norms of the residual stream


@dataclass(frozen=True)
class Measured:
    """What the program computed of a window."""

    stream: np.ndarray  # float32 [L + 1, T, C]
    nll: np.ndarray | None  # float32 [T - 1], where the loss was asked for


@dataclass(frozen=True)
class Statistics:
    """What the program computed over all windows, where statistics were asked for."""

    datasets: dict[str, np.ndarray] = field(default_factory=dict)  # by path
    formats: tuple[str, ...] = ()  # the axis of format_error_square


@dataclass(frozen=True)
class Run:
    """A sweep of the first windows of the job's own corpus."""

    windows: list[Window]
    statistics: Statistics
    sets: KeySets
    attributes: dict[str, Any]  # of the sweep file


@dataclass(frozen=True)
class TextRun(Run):
    documents: np.ndarray  # the numbers of the documents that are in the windows


@dataclass(frozen=True)
class ImageRun(Run):
    measured: list[Measured]


def read_windows(
    program: Path, job: Job, count: int, folder: Path, wanted: Mapping[str, Any]
) -> TextRun:
    """The first windows of a corpus of text, from a sweep of nothing else; and the statistics of them that
    are wanted."""
    first = derived(job, corpus={"max_sequences": count}, statistics=wanted)
    with sweep_job(program, first, folder, "windows") as sweep:
        ids = sweep.tokens["id"].values
        norms = sweep.residual["token_norm"].values
        spans = _spans(sweep)
        windows = [Window(ids[span], norms[:, span]) for span in spans]
        documents = np.unique(sweep.tokens["document"].values)
        sets = _key_sets(sweep, job, spans)
        path = sweep.path
    return TextRun(windows, _read_statistics(path), sets, read_attributes(path), documents)


def read_images(
    program: Path, job: Job, count: int, folder: Path, wanted: Mapping[str, Any]
) -> ImageRun:
    """The first images of a corpus, their streams, and the statistics of them that are wanted."""
    (corpus,) = corpus_files(job)
    with h5py.File(corpus) as file:
        pixels = file["pixels"][:count]
    names = [str(number) for number in range(len(pixels))]
    corpus_keys = {"max_sequences": len(pixels)}
    first = derived(job, corpus=corpus_keys, capture={"prompts": names}, statistics=wanted)
    with sweep_job(program, first, folder, "images") as sweep:
        norms, spans = sweep.residual["token_norm"].values, _spans(sweep)
        windows = [Window(image, norms[:, span]) for image, span in zip(pixels, spans, strict=True)]
        measured = [Measured(_stream(sweep, name), None) for name in names]
        sets = _key_sets(sweep, job, spans)
        path = sweep.path
    return ImageRun(windows, _read_statistics(path), sets, read_attributes(path), measured)


def _key_sets(sweep: Sweep, job: Job, spans: Sequence[slice]) -> KeySets:
    """Of a sweep of the windows; that of `attention_from` has the same windows."""
    statistics = job.get("statistics", {})
    classes = sweep.tokens["class"].values
    places = _event_places(sweep.path, ("sequence", "layer", "position"))
    earlier = statistics.get("attention_from")
    of_earlier = _event_places(Path(earlier), ("sequence", "position")) if earlier else []
    return KeySets(
        tuple(statistics.get("attention", [])), [classes[span] for span in spans], by_place(places),
        {window: positions for (window,), positions in by_place(of_earlier).items()},
    )  # fmt: skip


def _event_places(path: Path, columns: Sequence[str]) -> list[tuple[int, ...]]:
    with h5py.File(path) as file:
        values = [file[f"massive/{name}"][()].tolist() for name in columns]
    return list(zip(*values, strict=True))


def measure_windows(
    program: Path, job: Job, windows: Sequence[Window], folder: Path, wanted: Mapping[str, Any],
    store: Mapping[str, Any],
) -> tuple[list[Measured], Statistics]:  # fmt: skip
    """The streams and losses of windows of text, and the statistics and stored rows that are wanted of
    them."""
    corpus = folder / "windows-corpus.h5"
    ids = [window.inputs for window in windows]
    names = _write_token_file(corpus_files(job)[0], corpus, ids)
    keys = {
        "path": str(corpus),
        "sequence_length": max(len(one) for one in ids),
        "windows": "per_document",
        "bos": "none",
        "max_sequences": len(ids),
    }
    second = derived(job, corpus=keys, statistics=wanted, capture={"prompts": names}, store=store)
    loss = wanted.get("loss", False)
    with sweep_job(program, second, folder, "streams") as sweep:
        nll = sweep.group("loss")["token_nll"].values if loss else None
        losses = [None if nll is None else nll[span][:-1] for span in _spans(sweep)]
        streams = [_stream(sweep, name) for name in names]
    measured = [Measured(stream, one) for stream, one in zip(streams, losses, strict=True)]
    return measured, _read_statistics(folder / "streams.h5")


def read_attributes(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        return dict(file.attrs)


def _read_statistics(path: Path) -> Statistics:
    """All datasets of numbers but those of rows that are read elsewhere."""
    found: dict[str, np.ndarray] = {}

    def read(name: str, part: object) -> None:
        is_wanted = name == ROWS or name.split("/")[0] not in NOT_COMPARED
        if isinstance(part, h5py.Dataset) and is_wanted:
            found[name] = part[()]

    with h5py.File(path) as file:
        file.visititems(read)
        formats = json.loads(file.attrs.get("formats", "[]"))
    return Statistics(found, tuple(formats))


def _spans(sweep: Sweep) -> list[slice]:
    """The tokens of each window."""
    ends = np.cumsum([0, *sweep.sequences["length"].values.astype(np.int64)])
    return [slice(begin, end) for begin, end in zip(ends[:-1], ends[1:], strict=True)]


def _stream(sweep: Sweep, prompt: str) -> np.ndarray:
    return sweep.capture(prompt)["residual"].values


def _write_token_file(source: Path, path: Path, ids: Sequence[np.ndarray]) -> list[str]:
    """The windows as documents and as prompts, with all else of the corpus; the prompts' names."""
    joined = np.concatenate(ids).astype("<u4")
    offsets = np.cumsum([0, *map(len, ids)]).astype("<u8")
    names = [f"window{number}" for number in range(len(ids))]
    # Of the ids the program maps the bytes, which have to begin at a multiple of their size.
    aligned = {"alignment_threshold": 1, "alignment_interval": 8}
    with h5py.File(source) as corpus, h5py.File(path, "w", **aligned) as file:
        for name in corpus:
            if name not in ("ids", "document_offset", "token_role", "byte_offset", "prompts"):
                corpus.copy(name, file)
        file.attrs.update(corpus.attrs)
        file["ids"], file["document_offset"] = joined, offsets
        for name, one in zip(names, ids, strict=True):
            file[f"prompts/{name}"] = one.astype("<u4")
        fingerprint = hashlib.sha256(joined.tobytes() + offsets.tobytes()).hexdigest()
        file.attrs["corpus_fingerprint"] = fingerprint
        file.attrs["num_documents"] = np.int64(len(ids))
    return names
