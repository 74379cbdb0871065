"""Two documents in corpus files of many kinds, and what is read of a file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import zstandard

import preparing  # noqa: F401  # the modules of data/ are found by it
from preparation.documents import SourceFile
from preparation.remarks import Remarks

ONE, TWO = "The fox.", "Naïve café,\r\nline two."
LINES = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in (ONE, TWO))
ARRAY = json.dumps([{"text": ONE}, {"text": TWO, "meta": {"n": [1]}}], indent=1)
UTF8_BOM = b"\xef\xbb\xbf"


def read(path: Path, text_field: str = "text") -> tuple[list[str], list[str]]:
    """The documents of a file, and what is said of them."""
    remarks = Remarks()
    texts = [""]
    with SourceFile(path, text_field, remarks) as source:
        for piece in source.pieces(None):
            texts[-1] += piece.text
            if piece.ends_document:
                texts.append("")
        assert source.description()["bytes"] == path.stat().st_size
    return texts[:-1], remarks.lines()


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
