"""Control corpora (prepare_corpus.py --control): which tokens they hold, and that they are swept."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import small_tokenizers as small
from corpus_formats import lines
from preparing import run, write
from preparation.controls import Control
from preparation.corpus_options import parse_command_line
from preparation.errors import PreparationError
from preparation.selection import mixed
from preparation.tokenizer_directory import load_tokenizer
from preparation.vocabulary import Vocabulary, load_vocabulary
from running import make_job, make_model, refuse, run_well, write_job
from support.compatibility import Compatibility

TEXTS = [f"Document {i} of the year {1900 + i} is not the other, {'really ' * i}." for i in range(12)]
SPECIAL = (0, 1)  # <s>, </s>
VOCABULARY = 500


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"bos_token": "<s>", "eos_token": "</s>"}
    directory = tmp_path_factory.mktemp("small") / "model"
    return small.save(small.byte_level(), directory, tokenizer_config=settings)


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Path) -> Vocabulary:
    return load_vocabulary(load_tokenizer(tokenizer))


def prepared(tokenizer: Path, output: Path, *arguments: object) -> h5py.File:
    options = ("--tokenizer", tokenizer, "--output", output, "--jobs", 1)
    result = run("prepare_corpus.py", *options, *arguments)
    assert result.returncode == 0, result.stderr
    assert not result.stderr
    return h5py.File(output)


def documents_of(file: h5py.File) -> list[list[int]]:
    return [ids.tolist() for ids in np.split(file["ids"][:], file["document_offset"][1:-1].astype(int))]


def made(kind: str, vocabulary: Vocabulary, number: int, **options: int) -> list[list[int]]:
    """The first documents of a control that reads no file."""
    special = options.pop("special", 0)
    documents = Control(kind, options.pop("seed", 0), **options).documents(vocabulary, special)
    return [document.ids.tolist() for document in islice(documents, number)]


def test_random_tokens_are_uniform_and_none_is_special(vocabulary: Vocabulary) -> None:
    documents = made("random", vocabulary, 64, length=1024, seed=7)
    assert [len(ids) for ids in documents] == [1024] * 64
    counts = np.bincount(np.concatenate(documents), minlength=VOCABULARY)
    assert counts[list(SPECIAL)].sum() == 0
    expected = 64 * 1024 / (VOCABULARY - 2)
    chi_square = ((counts[2:] - expected) ** 2 / expected).sum()
    degrees = VOCABULARY - 3
    assert abs(chi_square - degrees) < 5 * (2 * degrees) ** 0.5
    pairs = Counter(zip(documents[0], documents[1], strict=True))
    assert max(pairs.values()) <= 3  # no document follows another
    assert made("random", vocabulary, 1, length=1024, seed=8) != documents[:1]


def test_a_document_is_drawn_by_seed_and_number_alone(
    tokenizer: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """By SplitMix64 from the textbook, so on any machine; shards and special tokens change none."""
    whole = made("random", vocabulary, 6, length=9, seed=3)
    ids = [i for i in range(VOCABULARY) if i not in SPECIAL]
    assert whole[5] == [ids[mixed(mixed(3, 5), place) % len(ids)] for place in range(9)]
    options = ("--length", 11, "--seed", 3, "--shard", "1/2", "--tokens", 26, "--special", "bos-eos")
    file = prepared(tokenizer, tmp_path / "a.h5", "--control", "random", *options)
    assert documents_of(file) == [[0, *whole[1], 1], [0, *whole[3], 1], [0, *whole[5][:3]]]
    assert json.loads(file.attrs["control"]) == {"kind": "random", "seed": 3, "length": 11}
    assert file.attrs["text_fingerprint"] == ""
    (source,) = json.loads(file.attrs["sources"])
    assert (source["name"], source["documents"], source["sha256"]) == ("--control random", 3, None)


def test_one_token_is_repeated_in_each_document(vocabulary: Vocabulary) -> None:
    documents = made("repeat", vocabulary, 40, length=34, special=1)
    assert all(len(ids) == 33 and len(set(ids)) == 1 for ids in documents)
    assert len({ids[0] for ids in documents}) > 30
    assert not {ids[0] for ids in documents} & set(SPECIAL)


@pytest.mark.parametrize("as_ids", [False, True], ids=["text", "ids"])
def test_shuffled_documents_hold_their_own_tokens(
    as_ids: bool, tokenizer: Path, tmp_path: Path
) -> None:
    oracle = AutoTokenizer.from_pretrained(tokenizer)
    expected = oracle(TEXTS, add_special_tokens=False).input_ids
    source = tmp_path / "a.jsonl"
    source.write_bytes(lines(TEXTS))
    files: list[object] = [source]
    if as_ids:
        files = ["--ids"]
        for number, ids in enumerate(expected):
            np.save(tmp_path / f"{number}.npy", np.array(ids))
            files.append(tmp_path / f"{number}.npy")
    options = ("--control", "shuffle", "--special", "bos-eos")
    file = prepared(tokenizer, tmp_path / "a.h5", *options, *files)
    found = documents_of(file)
    assert [sorted(ids[1:-1]) for ids in found] == [sorted(ids) for ids in expected]
    assert all((ids[0], ids[-1]) == SPECIAL for ids in found)
    assert all(ids[1:-1] != others for ids, others in zip(found, expected, strict=True))
    assert json.loads(file.attrs["control"]) == {"kind": "shuffle", "seed": 0}
    digests = b"".join(sha256(text.encode()).digest() for text in TEXTS)
    assert file.attrs["text_fingerprint"] == ("" if as_ids else sha256(digests).hexdigest())


def test_long_documents_are_shuffled_as_a_whole(
    tokenizer: Path, tmp_path: Path
) -> None:
    """Which are tokenised in pieces, by two processes; every place is equally likely."""
    text = "first " * 60_000 + "second " * 60_000
    expected = AutoTokenizer.from_pretrained(tokenizer)(text, add_special_tokens=False).input_ids
    source = write(tmp_path / "a.txt", text)
    options = ("--control", "shuffle", "--jobs", 2)
    (found,) = documents_of(prepared(tokenizer, tmp_path / "a.h5", *options, source))
    assert sorted(found) == sorted(expected)
    kind = expected[len(expected) // 4]
    total = expected.count(kind)
    early = found[: len(found) // 2].count(kind)
    assert abs(early - total / 2) < 5 * total**0.5 / 2


def test_each_token_of_the_vocabulary_is_a_document(vocabulary: Vocabulary) -> None:
    spellings = [b"", *vocabulary.spellings[1:-1], b"", b"last"]  # two ids without a token
    others = replace(vocabulary, spellings=spellings)
    expected = [[], *([i] for i in range(1, VOCABULARY - 1)), [], [VOCABULARY]]
    assert made("vocabulary", others, VOCABULARY + 2) == expected


BAD = {
    "random without a number": (["random", "--length", "4"], "takes --length T, and --documents N"),
    "repeat without a length": (["repeat", "--documents", "4"], "takes --length T, and --documents N"),
    "random of a file": (["random", "--length", "4", "--tokens", "9", "FILE"], "expected no FILE"),
    "vocabulary of a file": (["vocabulary", "FILE"], "expected no FILE"),
    "vocabulary with a length": (["vocabulary", "--length", "4"], "--length: it is of --control random"),
    "vocabulary of ids": (["vocabulary", "--ids"], "--ids: it is of files"),
    "vocabulary by bytes": (["vocabulary", "--byte-offsets"], "--byte-offsets: it is of files"),
    "vocabulary of a field": (["vocabulary", "--text-field", "a"], "--text-field: it is of files"),
    "shuffle of no file": (["shuffle"], "are required: FILE"),
    "shuffle by bytes": (["shuffle", "--byte-offsets", "FILE"], "leaves no token at its place"),
    "shuffle of chats": (["shuffle", "--messages-field", "m", "FILE"], "would shuffle the template"),
    "another kind": (["reverse", "FILE"], "invalid choice: 'reverse'"),
    "only special tokens": (
        ["repeat", "--length", "2", "--documents", "1", "--special", "bos-eos"],
        "--length: expected more than the 2 special token(s) of --special bos-eos, found 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_senseless_combinations_are_a_bad_command_line(
    what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options, words = BAD[what]
    arguments = ["--tokenizer", "model", "--output", "out.h5", "--control", *options]
    monkeypatch.setattr("sys.argv", ["prepare_corpus.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        parse_command_line("")
    assert caught.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("prepare_corpus.py: error: ") and words in said


def test_a_vocabulary_of_special_tokens_alone_is_refused(vocabulary: Vocabulary) -> None:
    special = replace(vocabulary, special_ids=frozenset(range(VOCABULARY)))
    with pytest.raises(PreparationError, match="--control random: all tokens of the tokenizer are special"):
        made("random", special, 1, length=4)


def test_tokens_alone_are_swept(
    tokenizer: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """Windows of one token: streams as transformers makes them of each token alone."""
    model = make_model(tmp_path / "model", vocab_size=VOCABULARY)
    corpus = tmp_path / "vocabulary.h5"
    prepared(tokenizer, corpus, "--control", "vocabulary").close()
    keys = {"corpus": {"sequence_length": 1}, "capture": {"prompts": []}}
    job = write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5", **keys))
    run_well(job, 2)
    oracle = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64).eval()
    with torch.no_grad():
        ids = torch.arange(VOCABULARY)[:, None]
        streams = oracle(ids, output_hidden_states=True).hidden_states
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert file["tokens/id"][:].tolist() == list(range(VOCABULARY))
        for layer in range(4):  # transformers' last is behind the norm
            norms = streams[layer][:, 0].norm(dim=1).numpy()
            np.testing.assert_allclose(file["residual/token_norm"][layer], norms, rtol=1e-4)
    log = refuse(job, 2, "[corpus] sequence_length = 1", sets=["corpus.bos=each_window"])
    words = "[corpus] sequence_length = 1: expected at least 2 where a BOS begins each window"
    assert words in log
    compatibility("Corpora", 'windows of one token, `bos = "each_window"`', "refused", words)
    compatibility("Corpora", "windows of one token", "read")
