"""Pieces of documents in batches, and their ids, made by several processes.

In: pieces, in order. Out: each batch with the ids of its pieces, in order. Memory is bounded by the number of
processes.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from preparation.encoding import Piece, encode, ids_of, texts_and_leads
from preparation.errors import writing
from preparation.text_encoder import encode_in_worker, start_worker, tokenizer_of
from preparation.tokenizer_directory import ModelTokenizer
from preparation.workers import worker_pool

BATCH_CHARS = 1 << 18
BATCH_PIECES = 1 << 12
BATCHES_AHEAD_PER_JOB = 3  # more would only hold memory


@dataclass(frozen=True)
class Batch:
    """Pieces that a worker encodes together."""

    pieces: list[Piece]
    sources: list[int]  # the number of the file that each is of
    bytes_read: int  # of all files, when the last piece was read


def batches(pieces: Iterable[tuple[Piece, int, int]]) -> Iterator[Batch]:
    """Of pieces with the number of their file and the bytes that had been read by then."""
    gathered: list[Piece] = []
    sources: list[int] = []
    chars = 0
    bytes_read = 0
    for piece, source, bytes_read in pieces:
        gathered.append(piece)
        sources.append(source)
        chars += len(piece.text)
        if chars >= BATCH_CHARS or len(gathered) >= BATCH_PIECES:
            yield Batch(gathered, sources, bytes_read)
            gathered, sources, chars = [], [], 0
    if gathered:
        yield Batch(gathered, sources, bytes_read)


def write_backend(file: IO[str], loaded: ModelTokenizer) -> Path:
    """For the workers."""
    with writing(Path(file.name)):
        file.write(loaded.backend)
        file.flush()
    return Path(file.name)


def encoded(
    work: Iterator[Batch], loaded: ModelTokenizer, specials_stay_text: bool, jobs: int
) -> Iterator[tuple[Batch, list[np.ndarray]]]:
    """Each batch with the ids of its pieces, in order, over `jobs` processes."""
    if jobs == 1:
        tokenizer = tokenizer_of(loaded.backend, specials_stay_text)
        for batch in work:
            yield batch, encode(tokenizer, batch.pieces)
        return
    with (
        tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as backend,
        worker_pool(
            jobs, start_worker, write_backend(backend, loaded), specials_stay_text
        ) as pool,
    ):
        ahead: deque[tuple[Batch, Future[list[bytes]]]] = deque()
        for batch in work:
            ahead.append((batch, pool.submit(encode_in_worker, *texts_and_leads(batch.pieces))))
            if len(ahead) >= jobs * BATCHES_AHEAD_PER_JOB:
                yield _done(*ahead.popleft())
        for batch, runs in ahead:
            yield _done(batch, runs)


def _done(batch: Batch, runs: Future[list[bytes]]) -> tuple[Batch, list[np.ndarray]]:
    return batch, ids_of(runs.result())
