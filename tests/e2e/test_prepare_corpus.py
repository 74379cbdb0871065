"""data/prepare_corpus.py: its token files against transformers, and their form."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from transformers import AutoTokenizer

from preparing import ENGLISH, MIB, SMOLLM2, TEXT, peak_memory_bytes, run_well, write
from preparation import documents, tokenizer_files
from preparation.token_classes import DELIMITER, OTHER, WEAK_SEMANTIC_WORD, class_of


AS_TEXT = {"add_special_tokens": False, "split_special_tokens": True}  # what documents spell stays text


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2's tokenizer directory, as prepare_model.py makes it."""
    directory = tmp_path_factory.mktemp("model") / "smollm2"
    run_well("prepare_model.py", "gguf", SMOLLM2, directory, "--dtype", "bfloat16")
    return directory


@pytest.fixture
def prepare(model: Path, tmp_path: Path) -> Callable[..., h5py.File]:
    """Runs the program on files and options and opens what it wrote."""

    def prepared(*arguments: object, name: str = "corpus.h5") -> h5py.File:
        output = tmp_path / name
        summary = run_well(
            "prepare_corpus.py", "--tokenizer", model, "--output", output, *arguments
        )
        file = h5py.File(output)
        assert file.attrs["corpus_fingerprint"] in summary
        assert f"{len(file['ids']):,} tokens" in summary
        return file

    return prepared


def fingerprint_of(texts: list[str]) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return hashlib.sha256(b"".join(digests)).hexdigest()


def documents_of(file: h5py.File) -> list[list[int]]:
    offsets = file["document_offset"][:].tolist()
    ids = file["ids"][:].tolist()
    assert offsets[0] == 0 and offsets[-1] == len(ids)
    assert file.attrs["num_documents"] == len(offsets) - 1
    return [ids[begin:end] for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]


@pytest.mark.parametrize("jobs", [1, 3])
def test_ids_are_transformers(
    jobs: int, model: Path, prepare: Callable[..., h5py.File], tmp_path: Path
) -> None:
    file = prepare("--jobs", jobs, write(tmp_path / "text.txt", TEXT))
    oracle = AutoTokenizer.from_pretrained(model)
    assert documents_of(file) == [oracle(TEXT, **AS_TEXT).input_ids]
    assert len(TEXT) > documents.PIECE_CHARS + 1000  # so it was cut


def test_digits_stand_alone(model: Path, prepare: Callable[..., h5py.File], tmp_path: Path) -> None:
    ids = documents_of(prepare(write(tmp_path / "text.txt", "2004")))[0]
    assert AutoTokenizer.from_pretrained(model).convert_ids_to_tokens(ids) == ["2", "0", "0", "4"]


def test_vocabulary_bytes_decode_the_text(
    prepare: Callable[..., h5py.File], tmp_path: Path
) -> None:
    file = prepare(write(tmp_path / "text.txt", TEXT))
    spelling = file["vocabulary/bytes"][:].tobytes()
    offset = file["vocabulary/offset"][:].tolist()
    decoded = b"".join(spelling[offset[i] : offset[i + 1]] for i in file["ids"][:].tolist())
    assert decoded == TEXT.encode()
    assert len(offset) == file.attrs["vocabulary_size"] + 1 == 49153


def test_many_documents_keep_their_order(
    model: Path, prepare: Callable[..., h5py.File], tmp_path: Path
) -> None:
    """Text, JSONL and gzip; long documents, short ones by the thousand, an empty one."""
    texts = [TEXT, "", "short", *(f"Record {i}, of many." for i in range(9000)), ENGLISH, "end"]
    records = "\n".join(json.dumps({"text": text, "n": 1}) for text in texts) + "\n\n"
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(records.encode()))
    (tmp_path / "c.md.gz").write_bytes(gzip.compress(TEXT.encode()))
    sources = [write(tmp_path / "a.txt", "First."), tmp_path / "b.jsonl.gz", tmp_path / "c.md.gz"]
    file = prepare("--jobs", 2, *sources)
    expected = ["First.", *texts, TEXT]
    oracle = AutoTokenizer.from_pretrained(model)(expected, **AS_TEXT).input_ids
    assert documents_of(file) == oracle
    assert json.loads(file.attrs["sources"]) == [
        {
            "name": path.name,
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "documents": number,
            "text_fingerprint": fingerprint_of(own),
        }
        for path, number, own in zip(sources, (1, len(texts), 1), (["First."], texts, [TEXT]), strict=True)
    ]


def test_text_field_is_the_one_asked_for(
    model: Path, prepare: Callable[..., h5py.File], tmp_path: Path
) -> None:
    source = write(tmp_path / "a.jsonl", '{"text": "wrong", "content": "right"}')
    oracle = AutoTokenizer.from_pretrained(model)
    assert oracle.decode(prepare("--text-field", "content", source)["ids"][:]) == "right"


def test_file_has_the_described_form(prepare: Callable[..., h5py.File], tmp_path: Path) -> None:
    file = prepare("--prompt", "p-1=Summer is warm.", write(tmp_path / "text.txt", TEXT))
    forms = {
        "ids": "<u4",
        "document_offset": "<u8",
        "vocabulary/bytes": "|u1",
        "vocabulary/offset": "<u8",
        "token_class": "|u1",
        "prompts/p-1": "<u4",
    }
    for name, dtype in forms.items():
        assert file[name].dtype.str == dtype, name
    assert file["ids"].chunks is None and file["ids"].compression is None
    offset = file["ids"].id.get_offset()
    raw = Path(file.filename).read_bytes()[offset : offset + 4 * len(file["ids"])]
    assert raw == file["ids"][:].tobytes()
    digest = hashlib.sha256(raw + file["document_offset"][:].tobytes()).hexdigest()
    attributes = dict(file.attrs)
    assert attributes.pop("corpus_fingerprint") == digest
    assert len(attributes.pop("tokenizer_fingerprint")) == 64
    assert set(attributes) >= {"created", "software", "sources"}
    for key, expected in {
        "schema": "actsweep-corpus",
        "schema_version": 1,
        "vocabulary_size": 49152,
        "special_tokens": "none",
        "bos_id": 1,
        "eos_id": 2,
        "num_documents": 1,
    }.items():
        assert attributes[key] == expected, key


@pytest.mark.parametrize(
    ("special", "before", "after"), [("none", [], []), ("bos", [1], []), ("bos-eos", [1], [2])]
)
def test_special_tokens_stand_around_documents(
    special: str,
    before: list[int],
    after: list[int],
    model: Path,
    prepare: Callable[..., h5py.File],
    tmp_path: Path,
) -> None:
    texts = ["One.", ENGLISH, ""]
    source = write(tmp_path / "a.jsonl", "\n".join(json.dumps({"text": text}) for text in texts))
    file = prepare("--special", special, "--prompt", "p=Two.", source)
    oracle = AutoTokenizer.from_pretrained(model)
    expected = oracle([*texts, "Two."], add_special_tokens=False).input_ids
    assert documents_of(file) == [before + ids + after for ids in expected[:-1]]
    assert file["prompts/p"][:].tolist() == before + expected[-1]
    assert file.attrs["special_tokens"] == special


def test_fingerprints_follow_the_content_alone(
    prepare: Callable[..., h5py.File], tmp_path: Path
) -> None:
    first = prepare("--jobs", 1, write(tmp_path / "a.txt", TEXT), name="a.h5")
    again = prepare("--jobs", 2, write(tmp_path / "b.txt", TEXT), name="b.h5")
    other = prepare(write(tmp_path / "c.txt", TEXT + "!"), name="c.h5")
    parts = [write(tmp_path / "d1.txt", TEXT[:1000]), write(tmp_path / "d2.txt", TEXT[1000:])]
    split = prepare(*parts, name="d.h5")
    prints = [file.attrs["corpus_fingerprint"] for file in (first, again, other, split)]
    assert prints[0] == prints[1] and len(set(prints)) == 3
    assert len({f.attrs["tokenizer_fingerprint"] for f in (first, again, other, split)}) == 1


def test_tokenizer_fingerprint_is_the_vocabulary_and_merges(model: Path) -> None:
    content = json.loads((model / "tokenizer.json").read_text())
    same = tokenizer_files.fingerprint_of(content, model)
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    content["added_tokens"].reverse()
    content["model"]["vocab"] = dict(reversed(content["model"]["vocab"].items()))
    assert tokenizer_files.fingerprint_of(content, model) == same  # another spelling of the same tokenizer
    content["model"]["merges"][:2] = reversed(content["model"]["merges"][:2])
    assert tokenizer_files.fingerprint_of(content, model) != same


def test_classes_follow_the_table(
    model: Path, prepare: Callable[..., h5py.File], tmp_path: Path
) -> None:
    file = prepare(write(tmp_path / "text.txt", "x"))
    oracle = AutoTokenizer.from_pretrained(model)
    expected = {".": 1, ",": 1, "Ċ": 1, "ĊĊ": 1, "Ġ;": 1, "Ġand": 2, "The": 2, "Ġof": 2, "from": 2}
    expected |= {"Ġhouse": 3, "4": 3, "Ġ": 3, "<|im_end|>": 3, '"': 3}
    classes = file["token_class"][:]
    found = {token: int(classes[oracle.convert_tokens_to_ids(token)]) for token in expected}
    assert found == expected
    assert classes.shape == (49152,) and set(classes.tolist()) == {1, 2, 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("。", DELIMITER),
        ("!\n", DELIMITER),
        (" \n\n ", DELIMITER),
        ("\r\n", DELIMITER),
        ("  ", OTHER),
        ("", OTHER),
        ("..", OTHER),
        (" AND", WEAK_SEMANTIC_WORD),
        ("android", OTHER),
    ],
)
def test_class_of_a_spelling(text: str, expected: int) -> None:
    assert class_of(text) == expected


@pytest.mark.slow
def test_200_mb_take_bounded_memory(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "large.txt"
    with source.open("w", encoding="utf-8") as file:
        while file.tell() < 200_000_000:
            file.write(ENGLISH)
    output = tmp_path / "out.h5"
    options = ("--tokenizer", model, "--jobs", 2, "--output", output)
    peak = peak_memory_bytes("prepare_corpus.py", *options, source)
    assert peak < 250 * MIB  # in any of its processes
    with h5py.File(output) as file:
        assert len(file["ids"]) > 40_000_000
