"""What no corpus file is, is refused by what it is, in one line that says what would help."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc
from safetensors.numpy import save as save_safetensors

from corpus_files import LINES, ONE, TWO, UTF8_BOM, read, zstd
from preparation.errors import CORPUS, PreparationError
from support.compatibility import Compatibility


def refusal(path: Path) -> str:
    with pytest.raises(PreparationError) as caught:
        read(path)
    assert caught.value.exit_code == CORPUS
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and message.startswith(str(path))
    return message


def archive(make: Callable[[io.BytesIO], None]) -> bytes:
    stored = io.BytesIO()
    make(stored)
    return stored.getvalue()


def zipped(stored: io.BytesIO) -> None:
    with zipfile.ZipFile(stored, "w") as file:
        file.writestr("a.txt", ONE)


def tarred(stored: io.BytesIO) -> None:
    with tarfile.open(fileobj=stored, mode="w") as file:
        for name in ("a.txt", "b.txt"):
            member = tarfile.TarInfo(name)
            member.size = 700
            file.addfile(member, io.BytesIO(b"word " * 140))


def tarred_large(stored: io.BytesIO) -> None:
    """A member that is read in parts."""
    with tarfile.open(fileobj=stored, mode="w") as file:
        member = tarfile.TarInfo("large.txt")
        member.size = 3 << 20
        file.addfile(member, io.BytesIO(b"text" * (member.size // 4)))


def with_wrong_header(content: bytes) -> bytes:
    """The second member's, which stands behind the first's 700 bytes in three blocks."""
    return content[:1536] + b"?" + content[1537:]


def parquet(table: pa.Table) -> bytes:
    return archive(lambda stored: pq.write_table(table, stored))


def arrow(table: pa.Table) -> bytes:
    def written(stored: io.BytesIO) -> None:
        with ipc.new_stream(stored, table.schema) as writer:
            writer.write_table(table)

    return archive(written)


TABLE = pa.table({"text": [ONE, TWO]})
PARQUET = parquet(TABLE)
CHAT = b'{"messages": [{"role": "user", "content": "Hi"}], "id": "x"}\n'
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
REFUSED: list[tuple[str, bytes, list[str], str]] = [
    (
        "a.parquet.gz", gzip.compress(PARQUET), ["compressed Parquet file", "decompress it first"],
        "Parquet inside gzip",
    ),
    ("a.parquet", PARQUET[:-9], ["not a whole Parquet file"], "Parquet that ends early"),
    ("a.arrow", arrow(TABLE)[:-30], ["not a whole Arrow stream"], "an Arrow stream that ends early"),
    (
        "a.parquet", parquet(TABLE.rename_columns(["body"])),
        ['no column "text"', '"body" (string)', "--text-field"], "Parquet without the text column",
    ),
    (
        "a.parquet", parquet(pa.table({"text": [1, 2]})), ['the column "text", found int64'],
        "Parquet whose text column has numbers",
    ),
    (
        "a.parquet", parquet(pa.table({"text": [[{"role": "user", "content": "Hi"}]]})),
        ['the column "text", found list', "--messages-field"], "Parquet whose text column has chat",
    ),
    (
        "a.parquet", parquet(pa.table({"text": ["a", None]})), ["row 2", '"text", found null'],
        "Parquet with a null in the text column",
    ),
    (
        "a.arrow", arrow(pa.table({"text": pa.array([b"a", b"ab\xff"]).view(pa.string())})),
        ["row 2", "invalid UTF-8 at byte 2"], "an Arrow stream with invalid UTF-8",
    ),
    ("a.orc", b"ORC\x11\x00", ["ORC file", "Parquet or JSON lines"], "ORC"),
    ("a.pdf", b"%PDF-1.7\n", ["PDF"], "PDF"),
    ("a.docx", archive(zipped), ["zip archive", "unpack"], "a zip archive, an office document"),
    (
        "a.tar", archive(tarred)[:700], ["not a whole tar archive"],
        "a tar archive that ends inside a member",
    ),
    (
        "a.tar", archive(tarred)[:1536], ["not a whole tar archive", "ends in the middle (byte 1536)"],
        "a tar archive that ends between members",
    ),
    (
        "a.tar", archive(tarred_large)[: 2 << 20],
        ["not a whole tar archive", "in large.txt (byte 2097152); its text was read up to byte 2080768"],
        "a tar archive that ends inside a large member",
    ),
    (
        "a.tar", with_wrong_header(archive(tarred)), ["not a whole tar archive", "no header at byte 1536"],
        "a tar archive with a damaged header",
    ),
    ("a.txt", "Ünï".encode("utf-16"), ["UTF-16", "iconv"], "UTF-16"),
    ("a.txt", b"\xfe\xff" + "Ünï".encode("utf-16-be"), ["UTF-16", "iconv"], "UTF-16, the large end first"),
    ("a.txt", "Plain words".encode("utf-16-le"), ["UTF-16 without", "iconv"], "UTF-16 without a BOM"),
    ("a.txt", "Ünï".encode("utf-32"), ["UTF-32", "iconv"], "UTF-32"),
    ("a.txt", "naïve".encode("latin-1"), ["invalid UTF-8 at byte 2", "iconv"], "Latin-1"),
    ("a.txt", UTF8_BOM + b"ab\xff", ["invalid UTF-8 at byte 5"], "invalid UTF-8 behind a BOM"),
    (
        "a.jsonl", UTF8_BOM + b'{"text": "\xff"}', ["line 1 (byte 3): invalid UTF-8 at byte 13"],
        "invalid UTF-8 in a record",
    ),
    (
        "a.json", b'[{"text": "a"},\n{"text": "\xff"}]',
        ["invalid UTF-8 at byte 26", "in the record of line 2 (byte 16)"],
        "invalid UTF-8 in a record of an array",
    ),
    ("a.txt", bytes(4096), ["binary", "4,096 of its first 4,096"], "zeros"),
    ("a.txt", POINTER, ["Git LFS pointer", "git lfs pull"], "a Git LFS pointer"),
    ("a.txt", save_safetensors({"a": np.zeros(2)}), ["safetensors"], "safetensors"),
    ("a.txt", b"GGUF\x03\0\0\0", ["GGUF", "prepare_model.py"], "GGUF"),
    ("a.txt", b"\x89PNG\r\n\x1a\n", ["PNG", "prepare_images.py"], "an image"),
    ("a.jsonl", b"<!DOCTYPE html>\n<html>", ["page of HTML"], "a page of HTML called `.jsonl`"),
    ("a.txt", b"<?xml version='1.0'?>\n<HTML>", ["page of HTML", ".html"], "a page of HTML called `.txt`"),
    (
        "a.txt.gz", gzip.compress(TWO.encode())[:-9],
        ["not a whole gzip file", f"ends in the middle, at byte {len(gzip.compress(TWO.encode())) - 9}"],
        "gzip that ends early",
    ),
    (
        "a.txt.gz", gzip.compress(TWO.encode())[:-8] + bytes(8),
        ["not a whole gzip file", "damaged"], "gzip with a wrong checksum",
    ),
    ("a.txt.gz", gzip.compress(b"x") + b"behind", ["not a whole gzip file"], "gzip with something behind"),
    (
        "a.zst", zstd(LINES.encode())[:-9], ["not a whole zstd file", "ends in the middle"],
        "zstd that ends early",
    ),
    (
        "a.zst", zstd(LINES.encode())[:-4] + bytes(4), ["not a whole zstd file", "damaged"],
        "zstd with a wrong checksum",
    ),
    (
        "a.xz", lzma.compress(LINES.encode())[:-9], ["not a whole xz file", "ends in the middle"],
        "xz that ends early",
    ),
    (
        "a.bz2", bz2.compress(LINES.encode())[:-9],
        ["not a whole bzip2 file", "ends in the middle"], "bzip2 that ends early",
    ),
    (
        "a.bz2", bz2.compress(LINES.encode())[:30] + bytes(30),
        ["not a whole bzip2 file", "damaged"], "damaged bzip2",
    ),
    ("a.lz4", b"\x04\x22\x4d\x18xx", ["lz4", "decompress"], "lz4"),
    (
        "a.jsonl", CHAT, ["line 1", '"messages" (a list)', '"id" (a text)', "--messages-field"],
        "chat records",
    ),
    (
        "a.jsonl", b'{"text": "a"}\n{"body": "b"}', ["line 2", '"body" (a text)', "--text-field"],
        "a record without the text field",
    ),
    (
        "a.json", b'{"data": [{"text": "a"}]}', ["line 1", '"data" (a list)', "jq"],
        "an object around the records",
    ),
    (
        "a.json", b'{\n"data": [\n{"text": "a"}]}', ["line 1", '"data" (a list)', "jq"],
        "an object around the records, over several lines",
    ),
    ("a.jsonl", b'{"text": null}', ["line 1", '"text", found null'], "a text that is null"),
    ("a.jsonl", b'{"text": 12}', ["line 1", '"text", found the number 12'], "a text that is a number"),
    ("a.jsonl", b'{"text": ["a"]}', ["line 1", '"text", found a list'], "a text that is a list"),
    ("a.jsonl", b'{"text": "a"}\n[1]', ["line 2", "found a list"], "a record that is a list"),
    ("a.json", b'[{"text": "a"},\n 3]', ["line 2", "found the number 3"], "an array with a number in it"),
    ("a.jsonl", b'{"text": "a"}\n{"te', ["line 2", "not JSON"], "JSON lines that end early"),
    (
        "a.json", b'[{"text": "a"},\n{"text": "b"}', ["line 2", "not JSON", "end of the file"],
        "an array without an end",
    ),
    ("a.json", b'[{"text": "a"}\n{"text": "b"}]', ["line 2", "comma"], "an array without commas"),
    ("a.json", b'[{"text": "a"}] x', ["line 1", "after the end"], "an array with something behind"),
    (
        "a.json", b'[{"text": "a"},\n{"text" "b"}]', ["line 2", "not JSON"],
        "an array with an object that is not JSON",
    ),
    ("a.json", b"plain words", ["line 1", "not JSON"], "plain text called `.json`"),
    ("a.jsonl", b'{"text": "a"}\n' + b"[" * 1000, ["line 2", "nested too deeply"], "1,000 brackets deep"),
    (
        "a.json", b'[{"text": "a"},\n' + b"[" * 100_000, ["line 2", "nested too deeply"],
        "an array, 100,000 brackets deep",
    ),
    ("a.jsonl", b'{"text": "\\ud800"}', ["line 1", "surrogate"], "half of a surrogate pair"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words", "what"), REFUSED, ids=[r[3] for r in REFUSED])
def test_others_are_refused_by_what_they_are(
    name: str,
    content: bytes,
    words: list[str],
    what: str,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    for word in words:
        assert word in message
    compatibility("Corpora", what, "refused", message)
