"""Tar archives of texts, WebDataset's among them, read from front to end.

In: a content that is a tar archive. Out: each member that is called as text or JSON is, in order. A .json
member without the text field, as WebDataset has beside a text, and other members are left out and counted.
Refuses an archive that ends early or is damaged.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePath

from preparation.corpus_kinds import LINES_SUFFIXES, suffix_of
from preparation.errors import CORPUS, PreparationError
from preparation.reading import Reading
from preparation.record_fields import MISSING, value_at
from preparation.records import LONGEST_RECORD
from preparation.stored_file import Content, open_content

TAR_MAGIC = b"ustar"
TAR_MAGIC_AT = 257
END_BYTES = 1024  # of zeros, with which an archive ends
TEXT_MEMBERS = (".txt", ".text", ".md", ".html", *LINES_SUFFIXES)
LEFT_OUT = "member(s) of archives hold no text, and were left out"


def is_archive(content: Content) -> bool:
    return content.look(TAR_MAGIC_AT + len(TAR_MAGIC))[TAR_MAGIC_AT:] == TAR_MAGIC


class Tail(io.RawIOBase):
    """A content whose last bytes are remembered."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.last = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        chunk = self._content.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self.last = (self.last + chunk)[-END_BYTES:]
        return len(chunk)


def members_of(path: Path, content: Content, reading: Reading) -> Iterator[tuple[Path, Content]]:
    """What each member is called in messages, and what it holds."""
    stream = Tail(content)
    try:
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=1) as archive:
            for member in archive:
                place = path / PurePath(member.name.lstrip("/"))
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    inner = open_content(place, file)
                    if holds_text(place, inner, reading):
                        yield place, inner
                        continue
                if not member.isdir():
                    reading.remarks.note(LEFT_OUT, str(place))
        while stream.read(1 << 20):
            pass
    except (tarfile.TarError, EOFError) as error:
        raise PreparationError(CORPUS, f"{path} is not a whole tar archive: {error}") from None
    if stream.last.strip(b"\0"):
        raise PreparationError(CORPUS, f"{path} is not a whole tar archive: it ends in the middle")


def holds_text(place: Path, content: Content, reading: Reading) -> bool:
    suffix = suffix_of(place)
    if suffix != ".json":
        return suffix in TEXT_MEMBERS
    head = content.look(LONGEST_RECORD)
    try:
        record = json.loads(head)
    except (ValueError, RecursionError):
        return True  # its reader says what is wrong
    return not isinstance(record, dict) or value_at(record, reading.fields.names[0]) is not MISSING
