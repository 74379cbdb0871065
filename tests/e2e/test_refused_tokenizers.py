"""Tokenizers that data/prepare_corpus.py refuses: one line, with the file and the entry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

import small_tokenizers as small
from preparing import DATA, write
from preparation import tokenizer_directory
from preparation.errors import MODEL, PreparationError
from preparation.tokenizer_directory import load_tokenizer
from preparation.vocabulary import load_vocabulary
from support.compatibility import Compatibility


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    return small.byte_level()


def refusal(directory: Path) -> str:
    """The one line of what is refused, as the model's fault."""
    with pytest.raises(PreparationError) as caught:
        load_vocabulary(load_tokenizer(directory))
    assert caught.value.exit_code == MODEL
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


WEIGHTS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
# A file of the directory, what it holds, what the page calls it, words of the message.
REFUSED: list[tuple[str, bytes, str, list[str]]] = [
    ("tokenizer_config.json", b'{"bos_token": 0}', "`bos_token` a number", ["bos_token", "number 0"]),
    ("tokenizer_config.json", b'{"eos_token": ["a"]}', "`eos_token` a list", ["eos_token", "a list"]),
    (
        "tokenizer_config.json", b'{"bos_token": {"content": "<s>"}}',
        "`bos_token` an object that is not called a token", ["bos_token", "__type"],
    ),
    ("special_tokens_map.json", b'{"bos_token": {}}', "a special token without text", ["bos_token"]),
    ("tokenizer_config.json", b"[]", "`tokenizer_config.json` a list", ["object", "a list"]),
    ("tokenizer_config.json", b'{"a": 1,\n "b"}', "`tokenizer_config.json` not JSON", ["line 2"]),
    ("tokenizer_config.json", b'{"a": "\xff"}', "invalid UTF-8", ["UTF-8", "byte 7"]),
    ("tokenizer_config.json", b"[" * 100_000, "100,000 brackets deep", ["nested too deeply"]),
    (
        "tokenizer_config.json", b"\xef\xbb\xbf{}", "a byte order mark before `tokenizer_config.json`",
        ["byte order mark, which AutoTokenizer does not read"],
    ),
    (
        "tokenizer_config.json", b'{"added_tokens_decoder": {"x": {}}}',
        "an added id that is no number", ["'x'"],
    ),
    (
        "tokenizer_config.json", b'{"added_tokens_decoder": {"9": 1}}',
        "an added token that is a number", ["9", "number 1"],
    ),
    (
        "tokenizer_config.json", b'{"additional_special_tokens": [3]}',
        "an additional special token that is a number", ["number 3"],
    ),
    (
        "tokenizer_config.json",
        b'{"auto_map": {"AutoTokenizer": ["a.A", null]}, "tokenizer_class": "A"}',
        "a tokenizer with code of its own", ["AutoTokenizer", "load"],
    ),
    ("tokenizer_config.json", b'{"tokenizer_class": 3}', "`tokenizer_class` a number", ["number 3"]),
    ("tokenizer_config.json", b'{"model_max_length": "x"}', "`model_max_length` a text", ["a text"]),
    ("config.json", b"[]", "a tokenizer beside a `config.json` that is a list", ["a list"]),
    ("added_tokens.json", b'{"<x>": "5"}', "`added_tokens.json` with a text for an id", ["<x>", "a text"]),
    ("tokenizer.json", b"[]", "`tokenizer.json` a list", ["a list"]),
    ("tokenizer.json", b"{}", "`tokenizer.json` without a model", ["does not hold a tokenizer"]),
    ("tokenizer.json", b"", "`tokenizer.json` empty", ["is not JSON"]),
    ("tokenizer.json", WEIGHTS, "`tokenizer.json` a Git LFS pointer", ["Git LFS pointer", "git lfs pull"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "what", "words"), REFUSED, ids=[r[2] for r in REFUSED])
def test_malformed_directory_is_refused_in_one_line(
    name: str,
    content: bytes,
    what: str,
    words: list[str],
    byte_level: Tokenizer,
    tmp_path: Path,
    compatibility: Compatibility,
) -> None:
    directory = small.save(byte_level, tmp_path / "model")
    (directory / name).write_bytes(content)
    message = refusal(directory)
    for word in words:
        assert word in message
    assert "code of its own" in what or str(directory / name) in message
    compatibility("Tokenizers", what, "refused", message)


@pytest.mark.parametrize("field", ["id", "content", "special", "lstrip"])
def test_added_token_without_a_field_is_refused(
    field: str, byte_level: Tokenizer, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = small.save(byte_level, tmp_path / "model")
    added = json.loads((directory / "tokenizer.json").read_text())["added_tokens"]
    del added[1][field]
    message = refusal(small.changed(directory, added_tokens=added))
    assert "tokenizer.json: added_tokens, entry 2" in message and f'{field}' in message
    compatibility("Tokenizers", f"an added token without `{field}`", "refused", message)


def test_ids_that_no_model_has_are_refused(
    byte_level: Tokenizer, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = small.save(byte_level, tmp_path / "model")
    vocab = json.loads((directory / "tokenizer.json").read_text())["model"]["vocab"]
    huge = small.changed(directory, model__vocab=vocab | {"!!": 4_000_000_000})
    message = refusal(huge)
    assert "'!!'" in message and "the number 4000000000" in message
    compatibility("Tokenizers", "an id of four thousand million", "refused", message)
    message = refusal(small.changed(directory, model__vocab=vocab | {"!!": vocab["!"]}))
    assert f"tokens '!' and '!!' have one id, {vocab['!']}" in message
    compatibility("Tokenizers", "two tokens of one id", "refused", message)
    for number in (-1, 1 << 40):
        assert "tokenizer" in refusal(small.changed(directory, model__vocab=vocab | {"!!": number}))


def test_another_decoder_is_refused_by_its_name(
    byte_level: Tokenizer, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = small.save(byte_level, tmp_path / "model")
    ctc = {"type": "CTC", "pad_token": "<s>", "word_delimiter_token": "|", "cleanup": True}
    message = refusal(small.changed(directory, decoder=ctc))
    assert "the decoder (CTC)" in message
    compatibility("Tokenizers", "the decoder CTC", "refused", message)


def test_directory_without_a_tokenizer_is_refused(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    write(tmp_path / "config.json", '{"model_type": "llama"}')
    message = refusal(tmp_path)
    assert "there is no tokenizer: expected tokenizer.json" in message
    compatibility("Tokenizers", "no file of a tokenizer", "refused", message.replace(str(tmp_path), "model"))
    assert "is a file" in refusal(tmp_path / "config.json")
    assert "no such directory" in refusal(tmp_path / "none")


def test_other_ids_than_autotokenizers_are_refused(
    byte_level: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tokenizers package, given what AutoTokenizer says, should differ from it."""
    directory = small.save(byte_level, tmp_path / "model")
    answer = tokenizer_directory._ask_autotokenizer(directory)
    answer["probes"][0][1][2] += 1
    monkeypatch.setattr(tokenizer_directory, "_ask_autotokenizer", lambda _: answer)
    assert "other ids than transformers' AutoTokenizer" in refusal(directory)


def test_child_that_dies_is_one_line(
    byte_level: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = write(tmp_path / "child.py", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(tokenizer_directory, "CHILD", child)
    assert "SIGSEGV" in refusal(small.save(byte_level, tmp_path / "model"))


def test_refusals_need_no_library(tmp_path: Path) -> None:
    """What the command line and the files already show is said before transformers is imported."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import prepare_corpus;"
        "print({'transformers', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program, str(DATA)]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "set()\n"
