"""Two documents in corpus files of many kinds, and what is read of a file."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import zstandard

import preparing  # noqa: F401  # the modules of data/ are found by it
from preparation.documents import SourceFile, pieces_of
from preparation.inputs import Input, inputs_of
from preparation.reading import Reading
from preparation.record_fields import TextFields

ONE, TWO = "The fox.", "Naïve café,\r\nline two."
LINES = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in (ONE, TWO))
ARRAY = json.dumps([{"text": ONE}, {"text": TWO, "meta": {"n": [1]}}], indent=1)
UTF8_BOM = b"\xef\xbb\xbf"


def read(path: Path, text_field: str = "text") -> tuple[list[str], list[str]]:
    """The documents of a file, and what is said of them."""
    reading = Reading(TextFields((text_field,)))
    texts = []
    with SourceFile(Input(path, path.name), reading) as source:
        for document in source.documents():
            texts.append("".join(p.text for p in pieces_of(document, None, reading.remarks)))
        assert source.is_read() and source.stored()["bytes"] == path.stat().st_size
    return texts, reading.remarks.lines()


def read_all(named: Path, fields: TextFields | None = None) -> list[str]:
    """The documents of all files that `named` stands for."""
    reading = Reading(fields or TextFields())
    texts = []
    for one in inputs_of([str(named)], reading.remarks):
        with SourceFile(one, reading) as source:
            texts += ["".join(document.chunks) for document in source.documents()]
            assert source.stored()["sha256"] == hashlib.sha256(one.path.read_bytes()).hexdigest()
    return texts


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


def zstd_stream(content: bytes) -> bytes:
    """As the zstd command writes what it is piped: without its size."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(content) + compressor.flush()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstd,
    "xz": lzma.compress,
    "bz2": bz2.compress,
}
