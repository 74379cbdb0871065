"""Puts documents into a token file: special tokens around each, up to the number of tokens that is wanted.

In: pieces of documents with their ids, or documents of ids, in order, with the source of each. Out: the
documents in the file, and the texts in the log of the sources.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from preparation.batches import Batch
from preparation.byte_offsets import ByteOffsets
from preparation.controls import Shuffle
from preparation.encoding import Piece
from preparation.id_files import IdDocument
from preparation.source_log import TextLog
from preparation.token_file import TokenFileWriter


@dataclass(frozen=True)
class SpecialTokens:
    """What stands around each document."""

    before: np.ndarray  # uint32
    after: np.ndarray
    bos_id: int  # NO_TOKEN where the tokenizer has none


class CorpusWriter:
    def __init__(
        self, writer: TokenFileWriter, special: SpecialTokens, log: TextLog, most_tokens: int | None
    ) -> None:
        """`byte_offsets` may be set before the first document; chats need them. They are stored where
        `stores_bytes` is set. `shuffle` may be set in their place."""
        self.byte_offsets: ByteOffsets | None = None
        self.shuffle: Shuffle | None = None
        self.stores_bytes = False
        self._writer = writer
        self._special = special
        self._log = log
        self._most_tokens = most_tokens
        self.is_full = False
        self.own_bos = 0  # documents that begin with the BOS by their own text

    def add(self, batch: Batch, ids: list[np.ndarray]) -> None:
        for piece, source, piece_ids in zip(batch.pieces, batch.sources, ids, strict=True):
            if self.is_full:
                return
            written = piece_ids
            if self.shuffle is not None:
                written = self.shuffle.add(piece_ids, piece.ends_document)
            has_room = self._append(self._parts(piece, written))
            self._append_bytes(piece, piece_ids)
            if not has_room:
                self._cut(source)
                return
            self._log.add(piece.text, piece.ends_document, source)
            if piece.ends_document:
                self._end_document(source)

    def add_ids(self, document: IdDocument, vocabulary: int, source: int) -> None:
        document.check(vocabulary)
        if self.shuffle is not None:
            document = replace(document, ids=self.shuffle.add(document.ids, ends_document=True))
        parts = chain([self._special.before], document.runs(), [self._special.after])
        if not self._append(parts):
            self._cut(source)
            return
        self._log.sources[source].documents += 1
        self._end_document(source)

    def _append_bytes(self, piece: Piece, ids: np.ndarray) -> None:
        """Of a piece whose ids have been written, as far as there was room."""
        if self.byte_offsets is None:
            return
        begins = self.byte_offsets.of(piece, ids)
        before = np.zeros(len(self._special.before) * piece.begins_document(), dtype=np.int64)
        after = np.full(len(self._special.after) * piece.ends_document, self.byte_offsets.end())
        if self.stores_bytes:
            room = self._writer.num_tokens() - self._writer.num_bytes()
            self._writer.append_bytes(np.concatenate([before, begins, after])[:room])
        if piece.roles is not None:
            ends = np.append(begins[1:], self.byte_offsets.end())
            roles = piece.roles.of_tokens(begins, np.maximum(ends, begins + 1))
            room = self._writer.num_tokens() - self._writer.num_roles()
            whole = np.concatenate([np.zeros(len(before)), roles, np.zeros(len(after))])
            self._writer.append_roles(whole[:room])

    def _parts(self, piece: Piece, ids: np.ndarray) -> list[np.ndarray]:
        parts = [ids]
        if piece.begins_document():
            parts.insert(0, self._special.before)
            self.own_bos += len(ids) > 0 and int(ids[0]) == self._special.bos_id
        if piece.ends_document:
            parts.append(self._special.after)
        return [part for part in parts if len(part) > 0]

    def _append(self, parts: Iterable[np.ndarray]) -> bool:
        """False where not all had room."""
        for ids in parts:
            room = len(ids)
            if self._most_tokens is not None:
                room = min(room, self._most_tokens - self._writer.num_tokens())
            self._writer.append(ids[:room])
            if room < len(ids):
                return False
        return True

    def _end_document(self, source: int) -> None:
        self._writer.end_document()
        if self._writer.num_tokens() == self._most_tokens:
            self.is_full = True
            self._log.end_at(source)

    def _cut(self, source: int) -> None:
        self._writer.end_document()
        self.is_full = True
        self._log.sources[source].documents += 1
        self._log.end_at(source)
