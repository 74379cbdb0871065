"""What a corpus file is, its content says: what is read, and what is said of it."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import h5py
import numpy as np
import pytest
import zstandard

import small_tokenizers as small
from preparing import assert_refused, run, run_well, write
from corpus_files import ARRAY, COMPRESSORS, LINES, ONE, TWO, UTF8_BOM, read, zstd, zstd_stream
from preparation import documents, stored_file
from support.compatibility import Compatibility

HALVES = LINES[:15].encode(), LINES[15:].encode()
SKIPPED = b"\x53\x2a\x4d\x18\x04\x00\x00\x00skip"  # a frame of zstd that holds no data
# Name, content and what the page calls it, of two records that are two documents.
RECORDS: list[tuple[str, bytes, str]] = [
    ("a.jsonl", LINES.encode(), "JSON lines"),
    ("a.JSONL", LINES.encode(), "JSON lines called `.JSONL`"),
    ("a.ndjson", LINES.encode(), "JSON lines called `.ndjson`"),
    ("a.json", LINES.encode(), "JSON lines called `.json`"),
    ("a.jsonl", LINES.replace("\n", "\r\n").encode(), "JSON lines that end with CR LF"),
    ("a.jsonl", UTF8_BOM + LINES.encode(), "JSON lines behind a BOM"),
    (
        "a.jsonl", UTF8_BOM + HALVES[0] + HALVES[1].replace(b"\n", b"\n" + UTF8_BOM, 1),
        "files with BOMs put together",
    ),
    ("a.json", ARRAY.encode(), "a JSON array of objects"),
    ("a.json", json.dumps([ONE, TWO]).encode(), "a JSON array of texts"),
    ("a.JSON", UTF8_BOM + ARRAY.encode(), "a JSON array behind a BOM"),
    ("a.jsonl", ARRAY.encode(), "a JSON array called `.jsonl`"),
    (
        "a.json", f'{{\n"text":\n {json.dumps(ONE)}}}\n{{\n"text": {json.dumps(TWO)}}}'.encode(),
        "JSON objects over several lines",
    ),
    (
        "a.jsonl", LINES.replace('"text"', '"n": 1' + "0" * 5000 + ', "text"').encode(),
        "a number of 5,001 digits",
    ),
    ("a.jsonl", LINES.replace('"text"', '"n": [NaN, -Infinity], "text"').encode(), "`NaN` and `Infinity`"),
    ("a.jsonl", LINES.replace('"text"', '"text": 1, "text"').encode(), "a key twice: the last counts"),
    (
        "a.jsonl", LINES.replace('"text"', '"d": %s%s, "text"' % ("[" * 900, "]" * 900)).encode(),
        "900 brackets deep",
    ),
    (
        "a.jsonl.gz", gzip.compress(HALVES[0]) + gzip.compress(HALVES[1]) + b"\0" * 512,
        "gzip of several members",
    ),
    ("a.json.gz", gzip.compress(LINES.encode()), "JSON lines called `.json.gz`"),
    ("a.jsonl.zst", zstd(HALVES[0]) + SKIPPED + zstd_stream(HALVES[1]), "zstd of several frames"),
    ("a.jsonl.zst", SKIPPED + zstd(LINES.encode()), "zstd behind a frame to skip"),
    ("a.jsonl.xz", lzma.compress(HALVES[0]) + lzma.compress(HALVES[1]), "xz of several streams"),
    ("a.jsonl.bz2", bz2.compress(HALVES[0]) + bz2.compress(HALVES[1]), "bzip2 of several streams"),
    ("A.JSONL.GZ", gzip.compress(LINES.encode()), "compressed, in capitals"),
    ("a.jsonl", zstd(LINES.encode()), "compressed without a name that says so"),
    ("a.jsonl.gz", zstd(LINES.encode()), "zstd called `.gz`"),
    ("a.jsonl.gz", LINES.encode(), "plain, called `.gz`"),
    ("a.jsonl.zst.gz", gzip.compress(zstd(LINES.encode())), "compressed twice"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "what"), RECORDS, ids=[row[2] for row in RECORDS])
def test_records_are_documents(
    name: str, content: bytes, what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name) == ([ONE, TWO], [])
    compatibility("Corpora", what, "read")


BRACE = '{"text": a set of words in braces}\nand more\n'
RAW: list[tuple[str, bytes, str, str]] = [
    ("a.txt", TWO.encode(), TWO, "text, with its CR LF"),
    ("a.txt", UTF8_BOM + TWO.encode(), TWO, "text behind a BOM"),
    ("a", TWO.encode(), TWO, "text without a suffix"),
    ("a.txt", BRACE.encode(), BRACE, "text that begins with `{`"),
    ("a.md", b'{"a": 1}\n', '{"a": 1}\n', "one JSON object without the text field, not called JSON"),
    ("a.txt", b"[1, 2]\n", "[1, 2]\n", "text that begins with `[`"),
    ("a.py", b"{}\nx = [\x00]\n", "{}\nx = [\x00]\n", "code, with a NUL"),
    ("A.TXT.GZ", gzip.compress(TWO.encode()), TWO, "text called `.TXT.GZ`"),
    ("a.txt.gz", gzip.compress(UTF8_BOM + TWO.encode()), TWO, "text behind a BOM, compressed"),
    ("a.txt.gz", TWO.encode(), TWO, "text called `.gz`"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "text", "what"), RAW, ids=[row[3] for row in RAW])
def test_text_is_one_document(
    name: str, content: bytes, text: str, what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path / name) == ([text], [])
    compatibility("Corpora", what, "read")


REMARKED: list[tuple[str, bytes, list[str], str, str]] = [
    ("a.txt", LINES.encode(), [ONE, TWO], "hold JSON lines", "JSON lines called `.txt`"),
    ("a.html", b"<!DOCTYPE html><p>x", ["<!DOCTYPE html><p>x"], "markup as text", "HTML called `.html`"),
    ("a.txt", b"", [""], "are empty", "an empty file"),
    ("a.txt.gz", gzip.compress(b""), [""], "are empty", "an empty file, compressed"),
    ("a.txt", b" \n\t\n", [" \n\t\n"], "white space alone", "a file of white space"),
    ("a.jsonl", b'{"text": " "}\n', [" "], "white space alone", "a record of white space"),
    ("a.jsonl", b'{"text": ""}\n', [""], "are empty", "a record with an empty text"),
    ("a.jsonl", b'\n{"text": "a"}\n \n', ["a"], "2 blank line(s)", "blank lines between records"),
    ("a.jsonl", b"", [], "hold no document", "JSON lines without a record"),
    ("a.json", b"[]", [], "hold no document", "an empty JSON array"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "texts", "said", "what"), REMARKED, ids=[row[4] for row in REMARKED]
)
def test_oddities_are_said(
    name: str,
    content: bytes,
    texts: list[str],
    said: str,
    what: str,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    (tmp_path / name).write_bytes(content)
    found, (line,) = read(tmp_path / name)
    assert found == texts
    assert said in line and name in line
    compatibility("Corpora", what, "warned", line)


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_large_files_are_read_in_parts(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records, arrays and text that are many times what is read at once."""
    monkeypatch.setattr(stored_file, "READ_BYTES", 1000)
    monkeypatch.setattr(stored_file, "FED_BYTES", 100)
    monkeypatch.setattr(documents, "READ_BYTES", 1000)
    texts = [f"Record {i}, naïve: " + "日本 " * (i % 97) for i in range(2000)]
    lines = "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    array = json.dumps([{"text": text} for text in texts], indent=2)
    compress = COMPRESSORS[suffix]
    for name, content in (("a.jsonl", lines), ("b.json", array), ("c.json", lines)):
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(compress(content.encode()))
        assert read(path) == (texts, [])
    (tmp_path / "d.txt").write_bytes(compress(lines[1:].encode()))
    assert read(tmp_path / "d.txt") == ([lines[1:]], [])


def test_a_first_record_of_megabytes_is_known(tmp_path: Path) -> None:
    long = {"text": "word " * 300_000}
    path = write(tmp_path / "records.txt", json.dumps(long) + "\n" + LINES)
    texts, remarks = read(path)
    assert texts == [long["text"], ONE, TWO] and len(remarks) == 1


def test_window_of_two_gib_is_read(tmp_path: Path) -> None:
    """As `zstd --long=31` writes."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=31)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    (tmp_path / "a.jsonl.zst").write_bytes(compressor.compress(LINES.encode()) + compressor.flush())
    assert read(tmp_path / "a.jsonl.zst") == ([ONE, TWO], [])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"bos_token": "<s>", "eos_token": "</s>"}
    directory = tmp_path_factory.mktemp("small") / "model"
    return small.save(small.byte_level(), directory, tokenizer_config=settings)


@pytest.mark.parametrize("jobs", [1, 2])
def test_program_says_what_it_met(
    jobs: int, model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """Documents that begin with the BOS by their own text, and oddities; then the summary."""
    texts = ["<s>One.", "Two <s>", " ", "<s>Three.", "<s>"]
    records = "\n\n".join(json.dumps({"text": text}) for text in texts)
    source = write(tmp_path / "a.jsonl", records)
    output = tmp_path / "out.h5"
    options = ("--tokenizer", model, "--output", output, "--jobs", jobs, source)
    options += ("--special-in-text", "parse")
    result = run("prepare_corpus.py", *options)
    assert result.returncode == 0
    assert "5 document(s)" in result.stdout
    said = result.stderr.splitlines()
    special, blank, lines, bos = (
        next(line for line in said if words in line)
        for words in ("(--special-in-text)", "white space", "blank line", "BOS")
    )
    assert len(said) == 4 and "4 special token(s) are spelled" in special
    assert "1 document(s) hold white space alone; it is" in blank and "line 5" in blank
    assert "3 of 5 document(s) begin with the BOS '<s>'" in bos and "each_window" in bos
    assert "4 blank line(s)" in lines and "the first is" in lines and "line 2" in lines
    compatibility("Corpora", "documents whose text begins with the BOS", "warned", bos.partition(": ")[2])
    result = run("prepare_corpus.py", *options, "--special", "bos")
    assert "--special put another before it" in result.stderr
    with h5py.File(output) as file:
        assert file["ids"][:3].tolist()[:2] == [0, 0]


def test_prompt_without_a_token_is_refused(tmp_path: Path) -> None:
    tokenizer = small.byte_level()
    tokenizer.normalizer = small.normalizers.Strip()
    directory = small.save(tokenizer, tmp_path / "model")
    source = write(tmp_path / "a.txt", "text")
    options = ("--tokenizer", directory, "--output", tmp_path / "out.h5", source)
    result = run("prepare_corpus.py", *options, "--prompt", "p=  ")
    assert_refused(result, 3, "prompt p", "no token")


def test_program_reads_compressed_records_over_workers(model: Path, tmp_path: Path) -> None:
    (tmp_path / "A.JSONL.ZST").write_bytes(zstd(LINES.encode()))
    write(tmp_path / "b.json", ARRAY)
    files = (tmp_path / "A.JSONL.ZST", tmp_path / "b.json")
    run_well("prepare_corpus.py", "--tokenizer", model, "--output", tmp_path / "out.h5", *files)
    with h5py.File(tmp_path / "out.h5") as file:
        offsets = file["document_offset"][:]
        assert len(offsets) == 5
        halves = np.split(file["ids"][:], [offsets[2]])
        assert halves[0].tolist() == halves[1].tolist()
