"""Files of token ids: Megatron's .bin with its .idx, and NumPy's .npy.

In: a file, and how many ids the tokenizer has. Out: its documents as runs of ids, mapped and not loaded:
of Megatron's what its index calls documents; of an array each row, or the one axis that it has. Refuses
an id that the tokenizer does not have, with its place; numbers that are no ids; an index that does not
fit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from preparation.errors import CORPUS, PreparationError

INDEX_MAGIC = b"MMIDIDX\0\0"
INDEX_HEADER = struct.Struct("<9sQBQQ")  # magic, version, type, sequences, borders of documents
# By their number in an index; 6 and 7 are floating-point types, which hold no ids.
INDEX_TYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
IDS_AT_ONCE = 1 << 20
SUFFIXES = (".bin", ".npy")


@dataclass(frozen=True)
class IdDocument:
    place: str
    ids: np.ndarray  # [n] of any integer type

    def runs(self) -> Iterator[np.ndarray]:
        """uint32 [n] each."""
        for begin in range(0, len(self.ids), IDS_AT_ONCE):
            yield self.ids[begin : begin + IDS_AT_ONCE].astype(np.uint32)

    def check(self, vocabulary: int) -> None:
        """Refuses an id that is not below `vocabulary`."""
        for begin in range(0, len(self.ids), IDS_AT_ONCE):
            run = self.ids[begin : begin + IDS_AT_ONCE]
            wrong = np.flatnonzero((run < 0) | (run >= vocabulary))
            if len(wrong) > 0:
                raise PreparationError(
                    CORPUS,
                    f"{self.place}, token {begin + wrong[0] + 1}: expected an id below {vocabulary},"
                    f" as the tokenizer has, found {run[wrong[0]]}",
                )


def id_documents(path: Path) -> Iterator[IdDocument]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        _refuse(path, "expected ids in Megatron's .bin, with its .idx, or NumPy's .npy, found another name")
    try:
        rows = _megatron(path) if suffix == ".bin" else _numpy(path)
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror or error}")
    for number, row in enumerate(rows, 1):
        yield IdDocument(f"{path}, document {number}", row)


def _refuse(path: Path, what: str) -> NoReturn:
    raise PreparationError(CORPUS, f"{path}: {what}")


def _numpy(path: Path) -> Iterator[np.ndarray]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        _refuse(path, f"not a whole NumPy array of numbers: {error}")
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        _refuse(path, f"expected whole numbers on one or two axes, found {array.dtype} {list(array.shape)}")
    return iter(array if array.ndim == 2 else array[np.newaxis])


def _megatron(path: Path) -> Iterator[np.ndarray]:
    index = path.with_suffix(".idx")
    stored = np.memmap(index, mode="r") if index.is_file() and index.stat().st_size else np.empty(0, "u1")
    if len(stored) < INDEX_HEADER.size or bytes(stored[:9]) != INDEX_MAGIC:
        _refuse(index, "expected Megatron's index of the ids beside it, found none")
    _, version, code, sequences, borders = INDEX_HEADER.unpack_from(stored)
    if version != 1 or code not in INDEX_TYPES:
        _refuse(index, f"expected version 1 and a type of ids, found version {version} and type {code}")
    if len(stored) < INDEX_HEADER.size + 12 * sequences + 8 * borders:
        _refuse(index, f"expected {sequences:,} sequences, found the end of the file")
    kind = np.dtype(INDEX_TYPES[code])
    at = INDEX_HEADER.size
    lengths = np.frombuffer(stored, "<i4", sequences, at)
    begins = np.frombuffer(stored, "<i8", sequences, at + 4 * sequences) // kind.itemsize
    documents = np.frombuffer(stored, "<i8", borders, at + 12 * sequences)
    count = path.stat().st_size // kind.itemsize
    ids = np.memmap(path, kind, "r", shape=(count,)) if count else np.empty(0, kind)
    if np.any(lengths < 0) or np.any(begins < 0) or np.any(begins + lengths > count):
        _refuse(path, f"expected the ids of {index.name}, found only {count:,}; it may be truncated")
    if borders < 1 or documents[0] != 0 or documents[-1] != sequences or np.any(np.diff(documents) < 0):
        _refuse(index, f"expected documents that divide {sequences:,} sequences, found others")
    return (
        np.concatenate([ids[:0], *(ids[begins[i] : begins[i] + lengths[i]] for i in range(first, end))])
        for first, end in zip(documents[:-1], documents[1:], strict=True)
    )
