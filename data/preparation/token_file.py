"""Writes a token file (HDF5): ids, document offsets, vocabulary, token classes, named prompts.

In: documents as arrays of ids, in order, of any total size; ids and offsets wait in raw files
beside the output, since their number is known only at the end and `/ids` has to be contiguous (the
sweep maps it). Out: the file, written under a temporary name and renamed. Refuses a corpus without
tokens.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import h5py
import numpy as np
import tokenizers

from preparation.errors import CORPUS, PreparationError, writing
from preparation.hdf5_writes import said_once
from preparation.output_lock import held_file
from preparation.raw_column import RawColumn
from preparation.token_classes import classes_of
from preparation.vocabulary import Vocabulary

SCHEMA = "actsweep-corpus"
SCHEMA_VERSION = 1
ALIGNED = {"alignment_threshold": 1, "alignment_interval": 8}  # pixels, which the sweep maps
COMPRESSED = {
    "compression": "gzip",
    "compression_opts": 1,
    "shuffle": True,
    "chunks": (1 << 16,),
    "maxshape": (None,),  # chunks may be larger than the dataset
}


def partial_paths(path: Path) -> list[Path]:
    """Of the file while it is written; of its columns before that."""
    parts = ("", ".ids", ".offsets", ".bytes", ".roles")
    return [path.with_name(f"{path.name}{part}.partial") for part in parts]


class Addition(Protocol):
    """What puts a group of its own into a token file."""

    def copy_to(self, file: h5py.File, digest: Any) -> None: ...


class TokenFileWriter:
    """A token file that appears whole, by `finish`, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial, *self._column_paths = partial_paths(path)

    def __enter__(self) -> TokenFileWriter:
        with contextlib.ExitStack() as stack, writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held_file(self._partial))
            self._columns = []
            for column, dtype in zip(self._column_paths, ("<u4", "<u8", "<u4", "u1"), strict=True):
                self._columns.append(RawColumn(column, dtype))
                stack.callback(self._columns[-1].remove)
            # Bytes and roles are empty where nobody asks for them.
            self._ids, self._offsets, self._bytes, self._roles = self._columns
            self._offsets.append(np.zeros(1))
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def append(self, ids: np.ndarray) -> None:
        """More ids of the current document, uint32 [n]."""
        with writing(self._path):
            self._ids.append(ids)

    def append_bytes(self, begins: np.ndarray) -> None:
        """For as many ids the byte where each begins in its document, uint32 [n]."""
        with writing(self._path):
            self._bytes.append(begins)

    def append_roles(self, roles: np.ndarray) -> None:
        """For as many ids whose words they are, uint8 [n] of chats.ROLES."""
        with writing(self._path):
            self._roles.append(roles)

    def end_document(self) -> None:
        with writing(self._path):
            self._offsets.append_number(self._ids.num_elements)

    def num_tokens(self) -> int:
        return self._ids.num_elements

    def num_bytes(self) -> int:
        """Tokens whose byte is known."""
        return self._bytes.num_elements

    def num_roles(self) -> int:
        """Tokens whose role is known."""
        return self._roles.num_elements

    def num_documents(self) -> int:
        return self._offsets.num_elements - 1

    def finish(
        self,
        vocabulary: Vocabulary,
        prompts: dict[str, np.ndarray],
        attributes: dict[str, object],
        addition: Addition | None = None,
    ) -> str:
        """Writes the file, with `attributes` besides its own; returns the corpus fingerprint."""
        if self.num_tokens() == 0:
            raise PreparationError(CORPUS, "the corpus is empty: no file holds a token")
        digest = hashlib.sha256()
        # `held_file` has the lock: two runs that opened one file would both write it.
        aligned = ALIGNED if addition is not None else {}
        with said_once(self._path), h5py.File(self._partial, "w", locking=False, **aligned) as file:
            self._ids.copy_to(file, "ids", digest)
            self._offsets.copy_to(file, "document_offset", digest)
            if self._roles.num_elements > 0:
                self._roles.copy_to(file, "token_role", digest)
            if addition is not None:
                addition.copy_to(file, digest)
            if self._bytes.num_elements > 0:
                self._bytes.copy_to(file, "byte_offset", hashlib.sha256(), **COMPRESSED)
            spellings = vocabulary.spellings
            file["vocabulary/bytes"] = np.frombuffer(b"".join(spellings), dtype=np.uint8)
            lengths = [len(spelling) for spelling in spellings]
            file["vocabulary/offset"] = np.cumsum([0, *lengths], dtype="<u8")
            file["token_class"] = classes_of(spellings, vocabulary.special_ids)
            for name, ids in prompts.items():
                file[f"prompts/{name}"] = ids.astype("<u4")
            file.attrs.update(
                {
                    "schema": SCHEMA,
                    "schema_version": np.int64(SCHEMA_VERSION),
                    "corpus_fingerprint": digest.hexdigest(),
                    "tokenizer_fingerprint": vocabulary.fingerprint,
                    "vocabulary_size": np.int64(len(spellings)),
                    "bos_id": np.int64(vocabulary.bos_id),
                    "eos_id": np.int64(vocabulary.eos_id),
                    "num_documents": np.int64(self.num_documents()),
                    "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                    "software": f"actsweep prepare_corpus.py, tokenizers {tokenizers.__version__}",
                }
                | attributes
            )
        with writing(self._path):
            with self._partial.open("rb") as written:
                os.fsync(written.fileno())  # a disk may say only now that it is full
            # Before the renaming, after which these names may be the next run's.
            for column in self._columns:
                column.remove()
            self._partial.rename(self._path)
        return digest.hexdigest()
