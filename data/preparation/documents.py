"""Corpus files -> the pieces of their documents, in order, with bounded memory.

In: text files (one file, one document), files of JSON records and tables (one record, one document), told
apart by content (corpus_kinds.py), plain or compressed (stored_file.py). Out: pieces of about PIECE_CHARS
characters, cut where `encoding.safe_cuts` allows it; short documents are one piece. Refuses a
missing or damaged file, invalid UTF-8 (with its byte offset), and a text that cannot be cut within
LONGEST_PIECE_CHARS.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from preparation.archives import is_archive, members_of
from preparation.corpus_kinds import UTF8_BOM, FileKind, TableKind, kind_of, table_kind
from preparation.encoding import Piece, lead_of
from preparation.errors import CORPUS, PreparationError
from preparation.inputs import Input
from preparation.reading import Document, Reading, Record
from preparation.records import LONGEST_RECORD, JsonValues, record_of_line
from preparation.remarks import Remarks
from preparation.stored_file import READ_BYTES, Content, CountedFile, open_content

PIECE_CHARS = 1 << 18
LONGEST_PIECE_CHARS = 1 << 26


class SourceFile:
    """One corpus file. `documents` may be read once; `stored` is whole thereafter."""

    def __init__(self, source: Input, reading: Reading) -> None:
        self.path = source.path
        self._reading = reading
        self._stored = CountedFile(source.path)

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stored.close()

    def bytes_read(self) -> int:
        """Bytes of the stored file that have been read so far."""
        return self._stored.bytes_read

    def is_read(self) -> bool:
        """To its end."""
        return self._stored.bytes_read >= self._stored.size

    def stored(self) -> dict[str, object]:
        return {"bytes": self._stored.bytes_read, "sha256": self._stored.sha256()}

    def documents(self) -> Iterator[Document]:
        content = open_content(self.path, self._stored)
        if table := table_kind(content):
            self._refuse_stream(table, content)
            yield from self._reading.documents(self._rows(table), str(self.path))
        elif is_archive(content):
            for place, inner in members_of(self.path, content, self._reading):
                try:
                    yield from ContentReader(place, inner, self._reading).documents()
                except PreparationError as error:
                    self._reading.mistakes.met(error)
        else:
            yield from ContentReader(self.path, content, self._reading).documents()

    def _refuse_stream(self, kind: TableKind, content: Content) -> None:
        """A table is read from both of its ends."""
        if not content.is_stored:
            raise PreparationError(
                CORPUS, f"{self.path} is a compressed {kind.value}: decompress it first"
            )
        if not self.path.is_file():
            raise PreparationError(
                CORPUS, f"{self.path}: found a {kind.value} in a pipe, expected the file itself"
            )

    def _rows(self, kind: TableKind) -> Iterator[Record]:
        from preparation.tables import Table  # pyarrow takes a second to load

        table = Table(self.path, kind, self._reading.fields)
        for record in table.records():
            yield record
            self._stored.read_up_to(int(self._stored.size * table.part_read))
        self._stored.read_up_to(self._stored.size)


class ContentReader:
    """The documents of a content of text or JSON."""

    def __init__(self, path: Path, content: Content, reading: Reading) -> None:
        self._path = path
        self._content = content
        self._reading = reading

    def documents(self) -> Iterator[Document]:
        self._bom_bytes = len(UTF8_BOM) if self._content.look(3) == UTF8_BOM else 0
        kind = kind_of(self._path, self._content, self._reading)
        if kind is FileKind.TEXT:
            if self._reading.chats is not None:
                raise PreparationError(
                    CORPUS, f"{self._path}: expected records with a chat's messages, found text"
                )
            yield Document(str(self._path), self._reading.tolerated(self._decoded()))
            return
        records = self._lines() if kind is FileKind.LINES else self._values()
        yield from self._reading.documents(records, str(self._path))

    def _decoded(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        offset = self._bom_bytes
        is_last = False
        while not is_last:
            try:
                chunk = self._content.read(READ_BYTES)
            except PreparationError as error:
                _say_how_far(error, f"byte {offset}")
            is_last = not chunk
            pending = len(decoder.getstate()[0])
            try:
                yield decoder.decode(chunk, final=is_last)
            except UnicodeDecodeError as error:
                yield error.object[: error.start].decode()
                _refuse_utf8(error, offset - pending, str(self._path))
            offset += len(chunk)

    def _values(self) -> Iterator[Record]:
        """Of a JSON document."""
        for place, record in JsonValues(self._decoded(), str(self._path)):
            yield place, lambda record=record: record

    def _lines(self) -> Iterator[Record]:
        """Of each line; blank lines are none."""
        offset = self._bom_bytes
        number = 0
        while line := self._line(number, offset):
            number += 1
            place = f"{self._path}, line {number} (byte {offset})"
            if len(line) > LONGEST_RECORD:
                raise PreparationError(
                    CORPUS, f"{place}: a record of more than {LONGEST_RECORD >> 20} MiB"
                )
            if line.removeprefix(UTF8_BOM).strip():
                yield place, partial(self._record, line, offset, place)
            else:
                self._reading.remarks.note("blank line(s) between records were left out", place)
            offset += len(line)

    def _line(self, number: int, offset: int) -> bytes:
        """The one behind the `number` first, at the byte `offset`."""
        try:
            return self._content.readline(LONGEST_RECORD + 1)
        except PreparationError as error:
            _say_how_far(error, f"line {number + 1}, byte {offset}")

    def _record(self, line: bytes, offset: int, place: str) -> object:
        content = line.removeprefix(UTF8_BOM)  # where files were put together
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            _refuse_utf8(error, offset + len(line) - len(content), place)
        return record_of_line(text, place)


def _refuse_utf8(error: UnicodeDecodeError, begin: int, place: str) -> NoReturn:
    raise PreparationError(
        CORPUS,
        f"{place}: invalid UTF-8 at byte {begin + error.start}: {error.reason}; text in another"
        " encoding is read after iconv -t UTF-8",
    ) from None


def _say_how_far(error: PreparationError, place: str) -> NoReturn:
    """Of a content that cannot be read on: `place` is the first that was not read."""
    raise PreparationError(error.exit_code, f"{error}; its text was read up to {place}") from None


def pieces_of(
    document: Document, cuts: re.Pattern[str] | None, remarks: Remarks
) -> Iterator[Piece]:
    """Of one document; oddities are remarked."""
    is_blank = True
    chars = 0
    for piece in cut_document(document.chunks, cuts, document.place):
        is_blank = is_blank and (not piece.text or piece.text.isspace())
        chars += len(piece.text)
        yield piece if document.roles is None else replace(piece, roles=document.roles)
    if is_blank:
        what = "hold white space alone" if chars else "are empty, and have no tokens"
        remarks.note(f"document(s) {what}", document.place)


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
