"""The same documents in every format give the same token file."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import datasets
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

import small_tokenizers as small
from corpus_files import read_all
from corpus_formats import RECORDS
from preparing import ENGLISH, ODDITIES, run_well
import prepare_corpus  # of data/, which the line before finds
from preparation.record_fields import TextFields
from support.compatibility import Compatibility

TEXTS = ["The fox.", "", ODDITIES, "Naïve café,\r\nline two.", ENGLISH[:3000], *map(str, range(150))]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.save(small.byte_level(), tmp_path_factory.mktemp("small") / "model")


@pytest.mark.parametrize("what", RECORDS)
def test_records_are_documents_in_every_format(
    what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    assert read_all(RECORDS[what](tmp_path, TEXTS)) == TEXTS
    compatibility("Corpora", what, "read")


FIELDED = [
    {"id": 1, "title": "One", "body": {"raw": "a"}, "language": "en", "ok": True},
    {"id": 2, "title": "Zwei", "body": {"raw": "b"}, "language": "de", "ok": True},
    {"id": 3, "title": "Three", "body": {"raw": "c"}, "language": "en", "ok": False},
]
FIELDS: list[tuple[TextFields, list[str], str]] = [
    (TextFields(("body.raw",)), ["a", "b", "c"], "a field inside an object"),
    (TextFields(("title", "body.raw"), ": "), ["One: a", "Zwei: b", "Three: c"], "several fields, joined"),
    (TextFields(("title",), where=(("language", "en"),)), ["One", "Three"], "records with a value"),
    (TextFields(("title",), where=(("id", "2"),)), ["Zwei"], "records with a number"),
    (
        TextFields(("title",), where=(("language", "en"), ("ok", "true"))), ["One"],
        "records with several values",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "expected", "what"), FIELDS, ids=[row[2] for row in FIELDS])
def test_fields_are_those_asked_for(
    fields: TextFields, expected: list[str], what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    """Of records and of columns."""
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in FIELDED))
    pq.write_table(pa.Table.from_pylist(FIELDED), tmp_path / "a.parquet")
    datasets.Dataset.from_list(FIELDED).save_to_disk(tmp_path / "saved")
    for name in ("a.jsonl", "a.parquet", "saved"):
        assert read_all(tmp_path / name, fields) == expected, name
    compatibility("Corpora", what, "read")


def prepared(output: Path, model: Path, *arguments: object) -> h5py.File:
    run_well("prepare_corpus.py", "--tokenizer", model, "--output", output, *arguments)
    return h5py.File(output)


def test_formats_in_one_command_have_the_ids_of_transformers(model: Path, tmp_path: Path) -> None:
    sources = [write(tmp_path, TEXTS) for write in RECORDS.values()]
    file = prepared(tmp_path / "all.h5", model, *sources)
    expected = AutoTokenizer.from_pretrained(model)(TEXTS, add_special_tokens=False).input_ids
    lengths = [len(ids) for ids in expected] * len(RECORDS)
    np.testing.assert_array_equal(file["document_offset"], np.cumsum([0, *lengths]))
    np.testing.assert_array_equal(file["ids"], np.concatenate(expected * len(RECORDS)))


def raw(file: h5py.File) -> dict[str, bytes]:
    """The bytes of every dataset."""
    found: dict[str, bytes] = {}
    file.visititems(
        lambda name, one: found.update({name: one[:].tobytes()}) if isinstance(one, h5py.Dataset) else None
    )
    return found


@pytest.fixture(scope="module")
def of_json_lines(model: Path, tmp_path_factory: pytest.TempPathFactory) -> h5py.File:
    """Made by the program, with workers."""
    folder = tmp_path_factory.mktemp("lines")
    return prepared(folder / "out.h5", model, "--jobs", 2, RECORDS["JSON lines"](folder, TEXTS))


@pytest.mark.parametrize("what", RECORDS)
def test_token_file_is_that_of_json_lines_bit_for_bit(
    what: str, of_json_lines: h5py.File, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out.h5"
    options = ["--tokenizer", model, "--output", output, "--jobs", 1, RECORDS[what](tmp_path, TEXTS)]
    monkeypatch.setattr(sys, "argv", ["prepare_corpus.py", *map(str, options)])
    prepare_corpus.main()  # in this process: each start of the program takes a second
    with h5py.File(output) as file:
        assert raw(file) == raw(of_json_lines)
        for name in ("corpus_fingerprint", "text_fingerprint"):
            assert file.attrs[name] == of_json_lines.attrs[name]
        assert sum(source["documents"] for source in json.loads(file.attrs["sources"])) == len(TEXTS)


def test_the_fingerprint_of_texts_is_that_of_their_digests(of_json_lines: h5py.File) -> None:
    digests = b"".join(hashlib.sha256(text.encode()).digest() for text in TEXTS)
    assert of_json_lines.attrs["text_fingerprint"] == hashlib.sha256(digests).hexdigest()
    (source,) = json.loads(of_json_lines.attrs["sources"])
    assert source["text_fingerprint"] == of_json_lines.attrs["text_fingerprint"]
    assert source["documents"] == len(TEXTS)
