"""Corpus files -> the pieces of their documents, in order, with bounded memory.

In: text files (one file, one document) and `.jsonl` files (one record, one document), each plain or
`.gz`. Out: pieces of about PIECE_CHARS characters, cut where `encoding.safe_cuts` allows it; short
documents are one piece. Refuses a missing or damaged file, invalid UTF-8 (with its byte offset), a
JSONL record without the text field (with its line), and a text that cannot be cut within
LONGEST_PIECE_CHARS.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from preparation.encoding import Piece, lead_of
from preparation.errors import CORPUS, PreparationError

READ_BYTES = 1 << 20
PIECE_CHARS = 1 << 18
LONGEST_PIECE_CHARS = 1 << 26
LONGEST_RECORD_BYTES = 1 << 28


class CountedFile(io.RawIOBase):
    """A file as it is stored, counted and hashed while it is read."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise PreparationError(CORPUS, f"{path}: {error.strerror}") from None
        self._hash = hashlib.sha256()
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = self._file.readinto(buffer)
        self._hash.update(buffer[:count])
        self.bytes_read += count
        return count

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()


class SourceFile:
    """One corpus file. `pieces` may be read once; `description` is whole thereafter."""

    def __init__(self, path: Path, text_field: str) -> None:
        self.path = path
        self._text_field = text_field
        self._stored = CountedFile(path)
        is_compressed = path.suffix == ".gz"
        buffered = io.BufferedReader(self._stored, READ_BYTES)
        self._content = gzip.GzipFile(fileobj=buffered) if is_compressed else buffered
        self._is_jsonl = (Path(path.stem) if is_compressed else path).suffix == ".jsonl"

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stored.close()

    def bytes_read(self) -> int:
        """Bytes of the stored file that have been read so far."""
        return self._stored.bytes_read

    def description(self) -> dict[str, object]:
        return {
            "name": self.path.name,
            "bytes": self._stored.bytes_read,
            "sha256": self._stored.sha256(),
        }

    def pieces(self, cuts: re.Pattern[str] | None) -> Iterator[Piece]:
        try:
            if not self._is_jsonl:
                yield from cut_document(self._decoded(), cuts, str(self.path))
                return
            for place, text in self._records():
                yield from cut_document([text], cuts, place)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise PreparationError(
                CORPUS, f"{self.path} is not a whole gzip file: {error}"
            ) from None
        except OSError as error:
            raise PreparationError(CORPUS, f"{self.path} cannot be read: {error}") from None

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        offset = 0
        is_last = False
        while not is_last:
            chunk = self._content.read(READ_BYTES)
            is_last = not chunk
            pending = len(decoder.getstate()[0])
            try:
                yield decoder.decode(chunk, final=is_last)
            except UnicodeDecodeError as error:
                self._refuse_utf8(error, offset - pending)
            offset += len(chunk)

    def _records(self) -> Iterator[tuple[str, str]]:
        """(where, text) of each record; blank lines are none."""
        offset = 0
        number = 0
        while line := self._content.readline(LONGEST_RECORD_BYTES + 1):
            number += 1
            place = f"{self.path}, line {number}"
            if len(line) > LONGEST_RECORD_BYTES:
                raise PreparationError(
                    CORPUS, f"{place}: a record of more than {LONGEST_RECORD_BYTES >> 20} MiB"
                )
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                self._refuse_utf8(error, offset)
            offset += len(line)
            if text.strip():
                yield place, self._text_of(text, place)

    def _text_of(self, line: str, place: str) -> str:
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise PreparationError(CORPUS, f"{place}: not JSON: {error}") from None
        if not isinstance(record, dict) or not isinstance(record.get(self._text_field), str):
            raise PreparationError(CORPUS, f'{place}: no text in the field "{self._text_field}"')
        text = record[self._text_field]
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise PreparationError(
                CORPUS, f"{place}: an escaped half of a surrogate pair, which is no text"
            ) from None
        return text

    def _refuse_utf8(self, error: UnicodeDecodeError, begin: int) -> None:
        raise PreparationError(
            CORPUS, f"{self.path}: invalid UTF-8 at byte {begin + error.start}: {error.reason}"
        ) from None


def cut_document(
    chunks: Iterable[str], cuts: re.Pattern[str] | None, place: str
) -> Iterator[Piece]:
    """The pieces of the document that `chunks` make together; `place` names it in errors."""
    text = ""
    begin = 0  # of the piece in `text`
    searched = PIECE_CHARS  # characters of the piece before which it is not cut
    lead = ""
    for chunk in chunks:
        text = text[begin:] + chunk
        begin = 0
        while cuts is not None and (cut := cuts.search(text, begin + searched)):
            yield Piece(text[begin : cut.start()], lead, ends_document=False)
            begin = cut.start()
            lead = lead_of(text[begin])
            searched = PIECE_CHARS
        # A cut is seen by the two characters before it and the two behind it.
        searched = max(searched, len(text) - begin - 2)
        if len(text) - begin > LONGEST_PIECE_CHARS:
            raise PreparationError(
                CORPUS,
                f"{place}: {LONGEST_PIECE_CHARS >> 20} Mi characters without a place to cut for"
                " this tokenizer (a space between words, a line end before a word); split it into"
                " documents",
            )
    yield Piece(text[begin:], lead, ends_document=True)
