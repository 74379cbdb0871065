"""A corpus file as bytes, decompressed by what it begins with, whatever it is called.

In: a file, plain or compressed (gzip, zstd, xz, bzip2; several members, and one inside another). Out:
its bytes, of which the beginning can be looked at. Refuses a compressed file that ends early, is
damaged or has something else behind its end.
"""

from __future__ import annotations

import bz2
import contextlib
import hashlib
import io
import lzma
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from preparation.errors import CORPUS, PreparationError

READ_BYTES = 1 << 20
FED_BYTES = 1 << 14  # to a decompressor at once: it may grow ten thousand times
LARGEST_WINDOW_BYTES = 1 << 31  # of zstd --long=31
MOST_LAYERS = 4
BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # one with data, and the end of an empty file


@dataclass(frozen=True)
class Compression:
    name: str
    magic: tuple[bytes, ...]
    decompressor: Callable[[], Any]  # has decompress(), eof and unused_data


COMPRESSIONS = (
    Compression("gzip", (b"\x1f\x8b\x08",), lambda: zlib.decompressobj(wbits=31)),
    Compression(
        "zstd",
        (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))),
        lambda: zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW_BYTES).decompressobj(),
    ),
    Compression("xz", (b"\xfd7zXZ\x00",), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    Compression(
        "bzip2",
        tuple(b"BZh%d%b" % (level, kind) for level in range(1, 10) for kind in BZIP2_BLOCKS),
        bz2.BZ2Decompressor,
    ),
)
DAMAGES = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, OSError)


class CountedFile(io.RawIOBase):
    """A file as it is stored, counted and hashed while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise PreparationError(CORPUS, f"{path} cannot be read: {error.strerror}") from None
        self._hash = hashlib.sha256()
        self.bytes_read = 0
        self.size = os.fstat(self._file.fileno()).st_size  # 0 of a pipe

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        try:
            count = self._file.readinto(buffer)
        except OSError as error:
            raise PreparationError(
                CORPUS, f"{self._path} cannot be read: {error.strerror}"
            ) from None
        self._hash.update(buffer[:count])
        self.bytes_read += count
        return count

    def read_up_to(self, position: int) -> None:
        """Counts and hashes what another reader takes of the file."""
        while self.bytes_read < position:
            if not self.read(min(READ_BYTES, position - self.bytes_read)):
                return

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()


class Decompressed(io.RawIOBase):
    """What a compressed `source` holds, all members of it. Where it cannot be read on, each read refuses."""

    def __init__(self, path: Path, compression: Compression, source: Content) -> None:
        self._path = path
        self._compression = compression
        self._source = source
        self._decompressor: Any = None  # of the member at hand; None between members
        self._fed = b""  # read from the source, and not yet decompressed
        self._ready = b""
        self._bytes_read = 0  # of the source
        self._refusal = ""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while not self._ready:
            if self._refusal:
                raise PreparationError(CORPUS, self._refusal)
            if not self._fed and not self._read_on():
                return 0
            self._decompress()
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _read_on(self) -> bool:
        """False at the end."""
        self._fed = self._source.read(FED_BYTES)
        self._bytes_read += len(self._fed)
        if not self._fed and self._decompressor is not None:
            self._refuse(f"it ends in the middle, at byte {self._bytes_read}")
        return bool(self._fed)

    def _decompress(self) -> None:
        chunk, self._fed = self._fed, b""
        if self._decompressor is None:
            chunk = chunk.lstrip(b"\0")  # padding of tapes and of xz
            if not chunk:
                return
            self._decompressor = self._compression.decompressor()
        try:
            self._ready = self._decompressor.decompress(chunk)
        except DAMAGES:
            self._refuse(f"its data are damaged before byte {self._bytes_read}")
        if self._decompressor.eof:
            self._fed, self._decompressor = self._decompressor.unused_data, None

    def _refuse(self, found: str) -> None:
        self._refusal = f"{self._path} is not a whole {self._compression.name} file: {found}"
        raise PreparationError(CORPUS, self._refusal) from None


class Content:
    """Bytes in order, of which the first can be looked at before they are read. Where the stream ends with a
    mistake, all before it is given first."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = io.BufferedReader(stream, READ_BYTES)
        self._head = b""  # looked at, and not yet read
        self.is_stored = isinstance(stream, CountedFile)  # as it is, uncompressed

    def look(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end, and before a mistake, which whoever reads on meets."""
        with contextlib.suppress(PreparationError):
            while len(self._head) < count and (more := self._stream.read1(count - len(self._head))):
                self._head += more
        return self._head[:count]

    def read(self, count: int) -> bytes:
        """At most so many; none at the end."""
        if not self._head:
            return self._stream.read1(count)
        taken, self._head = self._head[:count], self._head[count:]
        return taken

    def readline(self, limit: int) -> bytes:
        """The next line with its end, or the first `limit` bytes of it."""
        if not self._head:
            return self._stream.readline(limit)
        end = self._head.find(b"\n") + 1
        if 0 < end <= limit or len(self._head) >= limit:
            return self.read(min(end or limit, limit))
        taken, self._head = self._head, b""
        return taken + self._stream.readline(limit - len(taken))


def open_content(path: Path, stored: CountedFile) -> Content:
    """The decompressed content of a file."""
    content = Content(stored)
    for _ in range(MOST_LAYERS):
        head = content.look(16)
        found = [one for one in COMPRESSIONS if head.startswith(one.magic)]
        if not found:
            return content
        content = Content(Decompressed(path, found[0], content))
    raise PreparationError(CORPUS, f"{path} is compressed more than {MOST_LAYERS} times")
