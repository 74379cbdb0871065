"""Writes token files in the format of data/README.md, straight with h5py.

Reads the windows of a sweep over such a file, by the definitions of the design and not by those of
the program: `packed` windows run on across documents, `per_document` windows begin anew at each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

BOS_ID = 1
ROLES = 5  # template, system, user, assistant, tool


@dataclass(frozen=True)
class Window:
    """One sequence of a sweep. All arrays are [length]."""

    ids: np.ndarray  # uint32, the BOS included
    documents: np.ndarray  # int64
    classes: np.ndarray  # uint8
    roles: np.ndarray  # uint8; 0 where the corpus has none


@dataclass(frozen=True)
class Cut:
    """How a job cuts its corpus, in the words of the job file."""

    sequence_length: int
    windows: str = "packed"
    bos: str = "none"
    max_sequences: int | None = None

    def job_keys(self) -> dict[str, object]:
        keys = {"sequence_length": self.sequence_length, "windows": self.windows, "bos": self.bos}
        return keys if self.max_sequences is None else keys | {"max_sequences": self.max_sequences}


@dataclass(frozen=True)
class Corpus:
    """A token file's content."""

    vocabulary: int
    documents: Sequence[np.ndarray]  # each uint32 [any length, 0 too]
    classes: np.ndarray  # uint8 [vocabulary]: 1 delimiter, 2 weak-semantic word, 3 other
    roles: Sequence[np.ndarray] | None = None  # of chats: each uint8 [the document's length]

    def spellings(self) -> list[bytes]:
        """The bytes of each id; of different lengths, one of them empty."""
        return [b"" if i == 0 else f" w{i}".encode() for i in range(self.vocabulary)]

    def windows(self, cut: Cut) -> list[Window]:
        """The sweep's windows in order."""
        bos = cut.bos == "each_window"
        step = cut.sequence_length - bos
        numbers = [np.full(len(ids), i) for i, ids in enumerate(self.documents)]
        roles = self.roles or [np.zeros(len(ids), np.uint8) for ids in self.documents]
        runs = list(zip(self.documents, numbers, roles, strict=True))
        if cut.windows == "packed":
            runs = [tuple(map(np.concatenate, (self.documents, numbers, roles)))]
        found = []
        for run in runs:
            for begin in range(0, len(run[0]), step):
                text, of, role = (column[begin : begin + step] for column in run)
                if len(text) < step and (cut.windows == "packed" or len(text) + bos < 2):
                    continue
                if bos:
                    text, of, role = np.insert(text, 0, BOS_ID), np.insert(of, 0, of[0]), np.insert(role, 0, 0)
                classes = self.classes[text]
                classes[0] = 0
                found.append(Window(text.astype("<u4"), of.astype(np.int64), classes, role))
        return found[: cut.max_sequences]


def random_corpus(
    vocabulary: int,
    lengths: Sequence[int],
    *,
    seed: int = 0,
    often: Sequence[int] = (),
    are_chats: bool = False,
) -> Corpus:
    """Documents of random ids >= 2; one token in 16 is one of `often`. Id 0 is padding's own."""
    generator = np.random.default_rng(seed)
    documents = []
    for length in lengths:
        ids = generator.integers(2, vocabulary, length)
        if often:
            ids = np.where(generator.random(length) < 1 / 16, generator.choice(often, length), ids)
        documents.append(ids.astype("<u4"))
    classes = generator.integers(1, 4, vocabulary).astype(np.uint8)
    if not are_chats:
        return Corpus(vocabulary, documents, classes)
    roles = [generator.integers(0, ROLES, length).astype(np.uint8) for length in lengths]
    return Corpus(vocabulary, documents, classes, roles)


def write_token_file(path: Path, corpus: Corpus, prompts: Mapping[str, np.ndarray]) -> Path:
    """Writes the corpus with named prompts (uint32 ids each)."""
    ids = np.concatenate(corpus.documents).astype("<u4")
    lengths = [len(document) for document in corpus.documents]
    offsets = np.cumsum([0, *lengths]).astype("<u8")
    spellings = corpus.spellings()
    fingerprint = hashlib.sha256(ids.tobytes() + offsets.tobytes()).hexdigest()
    with h5py.File(path, "w") as file:
        file["ids"] = ids
        file["document_offset"] = offsets
        file["vocabulary/bytes"] = np.frombuffer(b"".join(spellings), dtype=np.uint8)
        file["vocabulary/offset"] = np.cumsum([0, *map(len, spellings)]).astype("<u8")
        file["token_class"] = corpus.classes
        if corpus.roles is not None:
            file["token_role"] = np.concatenate(corpus.roles)
        for name, prompt in prompts.items():
            file[f"prompts/{name}"] = prompt.astype("<u4")
        file.attrs.update(
            {
                "schema": "actsweep-corpus",
                "schema_version": np.int64(1),
                "corpus_fingerprint": fingerprint,
                "tokenizer_fingerprint": hashlib.sha256(b"".join(spellings)).hexdigest(),
                "vocabulary_size": np.int64(corpus.vocabulary),
                "special_tokens": "none",
                "bos_id": np.int64(BOS_ID),
                "eos_id": np.int64(-1),
                "num_documents": np.int64(len(corpus.documents)),
                "sources": "[]",
                "created": "2026-01-01T00:00:00+00:00",
                "software": "tests/support/token_files.py",
            }
        )
    return path
