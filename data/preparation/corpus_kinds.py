"""What a corpus file is, by its first bytes and its content; its name decides only where these leave
it open.

In: the decompressed content. Out: text, JSON lines, a JSON document (an array of records, or one record
over several lines), or a table. Refuses, by what it is, everything else that has a name: archives,
documents of office programs, pictures, weights, other encodings, pages of HTML that are called text,
Git LFS pointers, bytes that are no text.
"""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

from preparation.errors import CORPUS, PreparationError
from preparation.file_kinds import HEAD_BYTES, LFS_KIND
from preparation.file_kinds import kind_of as kind_of_head
from preparation.reading import Reading
from preparation.remarks import Remarks
from preparation.stored_file import Content

UTF8_BOM = b"\xef\xbb\xbf"
LOOKED_AT_BYTES = 1 << 16
LONGEST_FIRST_LINE_BYTES = 1 << 24  # by which a file not called JSON is known as JSON lines
MOST_NULS = 1 / 8  # of text; UTF-16 has more
COMPRESSED_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".xz", ".bz2")
LINES_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines")
TEXT_SUFFIXES = ("", ".txt", ".text")

TABLE = "save its text column as Parquet or JSON lines"
UNPACK = "unpack it and name the files inside"
EXTRACT = "extract its text first"
# What a file begins with, what it then is, and what helps.
SIGNATURES = (
    (b"FEA1", "a Feather file of version 1", TABLE),
    (b"ORC", "an ORC file", TABLE),
    (b"Obj\x01", "an Avro file", TABLE),
    (b"SQLite format 3\0", "an SQLite database", TABLE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "this program makes token files and reads none"),
    (b"PK\x03\x04", "a zip archive (.docx, .epub, .npz and .pt are, too)", UNPACK),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "decompress it first"),
    (b"\x1f\x9d", "compressed with compress", "decompress it first"),
    (b"%PDF-", "a PDF document", EXTRACT),
    (b"{\\rtf", "an RTF document", EXTRACT),
    (b"\xd0\xcf\x11\xe0", "a document of an office program", EXTRACT),
    (b"\x89PNG", "a PNG image", "prepare_images.py reads images"),
    (b"\xff\xd8\xff", "a JPEG image", "prepare_images.py reads images"),
    (b"GIF8", "a GIF image", "prepare_images.py reads images"),
    (b"GGUF", "a GGUF model", "prepare_model.py reads it"),
    (b"\x93NUMPY", "a NumPy array", "a corpus is made of text"),
    (b"\x7fELF", "a program", "a corpus is made of text"),
    (b"\xff\xfe\0\0", "text in UTF-32", "iconv -f UTF-32 -t UTF-8 makes it readable"),
    (b"\0\0\xfe\xff", "text in UTF-32", "iconv -f UTF-32 -t UTF-8 makes it readable"),
    (b"\xff\xfe", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 makes it readable"),
    (b"\xfe\xff", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 makes it readable"),
)


class FileKind(Enum):
    TEXT = "text"
    LINES = "JSON lines"
    JSON = "a JSON document"


class TableKind(Enum):
    PARQUET = "Parquet file"
    ARROW_FILE = "Arrow file"
    ARROW_STREAM = "Arrow stream"


TABLE_MAGIC = {
    b"PAR1": TableKind.PARQUET,
    b"ARROW1": TableKind.ARROW_FILE,
    b"\xff\xff\xff\xff": TableKind.ARROW_STREAM,
}


def table_kind(content: Content) -> TableKind | None:
    """Of a file of rows and columns; None for another."""
    head = content.look(8)
    return next((kind for magic, kind in TABLE_MAGIC.items() if head.startswith(magic)), None)


def suffix_of(path: Path) -> str:
    """The last suffix that does not name a compression, in lower case."""
    name = path.name.lower()
    while name.endswith(COMPRESSED_SUFFIXES):
        name = name.rpartition(".")[0]
    return Path(name).suffix


def kind_of(path: Path, content: Content, reading: Reading) -> FileKind:
    """The kind of the file; `content` then stands behind a BOM of UTF-8."""
    if content.look(3) == UTF8_BOM:
        content.read(3)
    head = content.look(LOOKED_AT_BYTES)
    suffix = suffix_of(path)
    _refuse_others(path, head)
    _refuse_page(path, head, suffix, reading.remarks)
    begins = head.lstrip()[:1]
    if suffix in LINES_SUFFIXES:
        return FileKind.JSON if begins == b"[" else FileKind.LINES
    if suffix == ".json":
        if begins == b"{" and _first_value(content) is None:
            return FileKind.JSON
        return FileKind.JSON if begins == b"[" else FileKind.LINES
    if begins == b"{":
        record = _first_value(content)
        if reading.fields.has_content(record):
            reading.remarks.note("file(s) not called .jsonl hold JSON lines, each a document", str(path))
            return FileKind.LINES
    return FileKind.TEXT


def _first_value(content: Content) -> object:
    """What the first line that is not blank holds as JSON; None where it is not whole by itself."""
    count = LOOKED_AT_BYTES
    while True:
        head = content.look(count)
        line, end, _ = head.lstrip().partition(b"\n")
        if end or len(head) < count or count >= LONGEST_FIRST_LINE_BYTES:
            break
        count *= 4
    try:
        return json.loads(line.decode(), parse_int=float)
    except (ValueError, RecursionError):
        return None


def _refuse(path: Path, what: str, cure: str) -> None:
    raise PreparationError(CORPUS, f"{path} is {what}, expected text, JSON lines, Parquet or Arrow: {cure}")


def _refuse_others(path: Path, head: bytes) -> None:
    if kind_of_head(path, head[:HEAD_BYTES]).name == LFS_KIND:
        _refuse(path, f"a {LFS_KIND}, not the file", "`git lfs pull` fetches it")
    for magic, what, cure in SIGNATURES:
        if head.startswith(magic):
            _refuse(path, what, cure)
    header_bytes = int.from_bytes(head[:8], "little")
    if head[8:10] == b'{"' and 0 < header_bytes < 1 << 32:
        _refuse(path, "a safetensors file", "a corpus is made of text")
    nuls = head.count(0)
    if nuls > MOST_NULS * len(head):
        if max(head[0::2].count(0), head[1::2].count(0)) > 0.9 * nuls and nuls < len(head) * 0.6:
            _refuse(
                path,
                "text in UTF-16 without a byte order mark, or no text",
                "iconv -f UTF-16LE -t UTF-8 makes the former readable",
            )
        _refuse(path, "binary", f"{nuls:,} of its first {len(head):,} bytes are zero")


def _refuse_page(path: Path, head: bytes, suffix: str, remarks: Remarks) -> None:
    """HTML under a name of text is mostly a server's answer; under another, its markup is text."""
    begins = head.lstrip()[:4096].lower()
    if begins.startswith(b"<?xml"):
        begins = begins.partition(b"?>")[2].lstrip()
    if not begins.startswith((b"<!doctype html", b"<html")):
        return
    if suffix in (*TEXT_SUFFIXES, *LINES_SUFFIXES, ".json"):
        _refuse(
            path,
            "a page of HTML",
            "extract its text first, or call it .html to have its markup read as text",
        )
    remarks.note("file(s) of HTML were read with their markup as text", str(path))
