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
READ_BYTES = 1 << 14  # of a member at once: so much before an early end may be lost
TEXT_MEMBERS = (".txt", ".text", ".md", ".html", *LINES_SUFFIXES)
LEFT_OUT = "member(s) of archives hold no text, and were left out"


def is_archive(content: Content) -> bool:
    return content.look(TAR_MAGIC_AT + len(TAR_MAGIC))[TAR_MAGIC_AT:] == TAR_MAGIC


class Stream(io.RawIOBase):
    """A content whose length, and the end of what is not zero in it, are counted."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.bytes_read = 0
        self.zeros_from = 0  # byte behind which there have been zeros alone

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        chunk = self._content.read(len(buffer))
        buffer[: len(chunk)] = chunk
        if held := chunk.rstrip(b"\0"):
            self.zeros_from = self.bytes_read + len(held)
        self.bytes_read += len(chunk)
        return len(chunk)


class Member(io.RawIOBase):
    """What a member holds. Where the archive cannot be read on, each read refuses."""

    def __init__(self, path: Path, name: str, file: io.BufferedReader, stream: Stream) -> None:
        self._path, self._name, self._file, self._stream = path, name, file, stream
        self.mistake: PreparationError | None = None  # with which the archive ends here

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        try:
            chunk = b"" if self.mistake else self._file.read1(min(len(buffer), READ_BYTES))
        except PreparationError as error:
            self.mistake = error
        except (tarfile.TarError, EOFError) as error:
            self.mistake = not_whole(self._path, f"{error} in {self._name}", self._stream)
        if self.mistake is not None:
            raise self.mistake
        buffer[: len(chunk)] = chunk
        return len(chunk)


def not_whole(path: Path, found: object, stream: Stream) -> PreparationError:
    words = f"{path} is not a whole tar archive: {found} (byte {stream.bytes_read})"
    return PreparationError(CORPUS, words)


def members_of(path: Path, content: Content, reading: Reading) -> Iterator[tuple[Path, Content]]:
    """What each member is called in messages, and what it holds."""
    stream = Stream(content)
    try:
        with tarfile.open(fileobj=stream, mode="r|", errorlevel=1) as archive:
            for entry in archive:
                place = path / PurePath(entry.name.lstrip("/"))
                file = archive.extractfile(entry) if entry.isfile() else None
                if file is not None:
                    member = Member(path, entry.name, file, stream)
                    inner = open_content(place, member)
                    if holds_text(place, inner, reading):
                        yield place, inner
                        if member.mistake is not None:
                            return
                        continue
                if not entry.isdir():
                    reading.remarks.note(LEFT_OUT, str(place))
        while stream.read(READ_BYTES):
            pass
    except (tarfile.TarError, EOFError) as error:
        raise not_whole(path, error, stream) from None
    if stream.zeros_from > archive.offset:
        raise not_whole(path, f"no header at byte {archive.offset}, though more stands there", stream)
    if stream.bytes_read < archive.offset + END_BYTES:
        raise not_whole(path, "it ends in the middle", stream)


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
