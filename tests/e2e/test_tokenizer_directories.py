"""Ids, BOS and EOS are those of transformers' AutoTokenizer, whichever files a directory has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest
import sentencepiece
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import small_tokenizers as small
from preparing import TEXT, run, run_well, write
from preparation.encoding import Piece, encode
from preparation.tokenizer_directory import NO_TOKEN, ModelTokenizer, load_tokenizer
from preparation.vocabulary import load_vocabulary
from support.compatibility import Compatibility

CHAT = "<|im_start|>user\nThe quick<|im_end|> brown [X] fox<|im_end|>"
TEXTS = [CHAT, "The year 2004: naïve 日本.\nDone", "  two  spaces ", TEXT[-3000:]]


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    return small.byte_level()


def assert_as_autotokenizer(directory: Path) -> ModelTokenizer:
    loaded = load_tokenizer(directory)
    oracle = AutoTokenizer.from_pretrained(directory)
    expected = oracle(TEXTS, add_special_tokens=False).input_ids
    found = encode(loaded.tokenizer, [Piece(text, "", True) for text in TEXTS])
    assert [ids.tolist() for ids in found] == expected
    roles = [oracle.bos_token_id, oracle.eos_token_id]
    assert [loaded.bos_id, loaded.eos_id] == [NO_TOKEN if i is None else i for i in roles]
    return loaded


def token(content: str, **flags: bool) -> dict[str, Any]:
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"content": content} | dict.fromkeys(names, False) | flags


NAMED = {"bos_token": "<s>", "eos_token": "</s>"}
ADDED = {"500": token("<|im_start|>", special=True), "501": token("<|im_end|>", rstrip=True)}
# What lies beside a byte-level tokenizer.json, by what it is called on the page.
BESIDE = {
    "`tokenizer.json` alone": {},
    "BOS and EOS in `tokenizer_config.json`, as texts": {"tokenizer_config": NAMED},
    "BOS in `tokenizer_config.json`, as an object": {
        "tokenizer_config": {"bos_token": token("<s>") | {"__type": "AddedToken"}}
    },
    "`bos_token` null": {"tokenizer_config": {"bos_token": None, "eos_token": "</s>"}},
    "a BOS that `tokenizer.json` lacks": {"tokenizer_config": {"bos_token": "<|im_start|>"}},
    "BOS in `special_tokens_map.json` alone": {"special_tokens_map": NAMED, "tokenizer_config": {}},
    "BOS in `config.json` alone: not a tokenizer's": {"config": {"bos_token_id": 7}},
    "`added_tokens_decoder`": {"tokenizer_config": NAMED | {"added_tokens_decoder": ADDED}},
    "`additional_special_tokens`": {
        "tokenizer_config": {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    },
    "`extra_special_tokens`, a list": {
        "tokenizer_config": {"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    },
    "`extra_special_tokens`, an object": {
        "tokenizer_config": {"extra_special_tokens": {"chat_token": "<|im_start|>"}}
    },
    "`additional_special_tokens` in `special_tokens_map.json`": {
        "special_tokens_map": {"additional_special_tokens": ["<|im_end|>"]}
    },
    "`added_tokens.json`": {"added_tokens": {"<|im_start|>": 500, "[X]": 501}},
    "`add_prefix_space`": {"tokenizer_config": {"add_prefix_space": True}},
    "`add_bos_token` and `add_eos_token`": {
        "tokenizer_config": NAMED | {"add_bos_token": True, "add_eos_token": True}
    },
    "`split_special_tokens`": {
        "tokenizer_config": NAMED | {"split_special_tokens": True, "added_tokens_decoder": ADDED}
    },
    "a tokenizer class of GPT-2 with `add_prefix_space`": {
        "tokenizer_config": {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}
    },
    "a tokenizer class of Llama over a byte-level `tokenizer.json`": {
        "tokenizer_config": {"tokenizer_class": "LlamaTokenizer"}
    },
    "a number of 4,301 digits in `tokenizer_config.json`": {},
}


@pytest.mark.parametrize("what", BESIDE)
def test_ids_are_autotokenizers_by_every_file(
    what: str, byte_level: Tokenizer, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = small.save(byte_level, tmp_path / "model", **BESIDE[what])
    if "digits" in what:
        write(directory / "tokenizer_config.json", '{"model_max_length": 1' + "0" * 4300 + "}")
        assert load_tokenizer(directory).bos_id == NO_TOKEN  # AutoTokenizer's own reader refuses it
    else:
        loaded = assert_as_autotokenizer(directory)
        assert loaded.warnings == ()
    compatibility("Tokenizers", what, "read")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (small.byte_level, "byte-level BPE"),
        (small.byte_fallback, "SentencePiece's BPE with bytes for what is unknown"),
        (small.unigram, "SentencePiece's Unigram"),
    ],
)
def test_ids_are_autotokenizers_by_every_kind(
    make: Callable[[], Tokenizer], what: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    settings = NAMED | {"additional_special_tokens": ["<|im_start|>"]}
    directory = small.save(make(), tmp_path / "model", tokenizer_config=settings)
    loaded = assert_as_autotokenizer(directory)
    known = load_vocabulary(loaded)
    ids = loaded.tokenizer.encode(CHAT, add_special_tokens=False).ids
    number = loaded.tokenizer.token_to_id("<|im_start|>")
    assert ids[0] == number == len(known.spellings) - 1
    assert number in known.special_ids
    spelled = b"".join(known.spellings[i] for i in ids)
    assert spelled.replace(b"> user", b">user").endswith(b" fox<|im_end|>")
    assert known.spellings[number] == b"<|im_start|>"
    compatibility("Tokenizers", f"{what}, as `tokenizer.json`", "read")


def sentencepiece_model(directory: Path, kind: str, name: str = "tokenizer") -> Path:
    directory.mkdir()
    text = write(directory.parent / "trained_on.txt", small.TRAINED_ON)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(directory / name),
        vocab_size=500,
        model_type=kind,
        byte_fallback=True,
        minloglevel=2,
    )
    return directory


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sentencepiece_model_is_read_as_autotokenizer_does(
    kind: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = sentencepiece_model(tmp_path / "model", kind)
    write(directory / "tokenizer_config.json", '{"tokenizer_class": "LlamaTokenizer"}')
    loaded = assert_as_autotokenizer(directory)
    assert b" the" in load_vocabulary(loaded).spellings
    compatibility("Tokenizers", f"`tokenizer.model` of SentencePiece alone ({kind})", "read")


def test_converted_tokenizer_lies_beside_its_corpus(tmp_path: Path) -> None:
    """The tokenizers package alone encodes with it as AutoTokenizer does with the directory."""
    directory = sentencepiece_model(tmp_path / "model", "bpe")
    write(directory / "tokenizer_config.json", '{"tokenizer_class": "LlamaTokenizer"}')
    source, output = write(tmp_path / "source.txt", TEXT[:3000]), tmp_path / "corpus.h5"
    beside = tmp_path / "corpus.tokenizer.json"
    said = run_well("prepare_corpus.py", "--tokenizer", directory, "--output", output, source)
    assert f"{beside}: the tokenizer, converted from the files of {directory}" in said
    oracle = AutoTokenizer.from_pretrained(directory)
    converted = Tokenizer.from_file(str(beside))
    for text in TEXTS:
        expected = oracle(text, add_special_tokens=False).input_ids
        assert converted.encode(text, add_special_tokens=False).ids == expected
    beside.unlink()
    small.save(converted, tmp_path / "stored")
    run_well("prepare_corpus.py", "--tokenizer", tmp_path / "stored", "--output", output, source)
    assert not beside.exists()  # the directory has a tokenizer.json


def test_tiktoken_model_is_read_as_autotokenizer_does(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    import base64

    directory = tmp_path / "model"
    directory.mkdir()
    ranks = [bytes([byte]) for byte in range(256)] + [b"th", b"the", b" the", b"er", b" qu"]
    lines = [f"{base64.b64encode(word).decode()} {rank}" for rank, word in enumerate(ranks)]
    write(directory / "tokenizer.model", "\n".join(lines) + "\n")
    write(directory / "tokenizer_config.json", '{"tokenizer_class": "PreTrainedTokenizerFast"}')
    loaded = assert_as_autotokenizer(directory)
    assert loaded.tokenizer.encode(" the").ids == [258]
    compatibility("Tokenizers", "`tokenizer.model` of tiktoken alone", "read")


def test_vocabulary_and_merges_are_read_as_autotokenizer_does(
    byte_level: Tokenizer, tmp_path: Path, compatibility: Compatibility
) -> None:
    byte_level.model.save(str(tmp_path))  # vocab.json and merges.txt
    write(tmp_path / "tokenizer_config.json", '{"tokenizer_class": "GPT2Tokenizer"}')
    assert_as_autotokenizer(tmp_path)
    compatibility("Tokenizers", "`vocab.json` with `merges.txt` alone", "read")


def test_dropout_is_switched_off_with_a_warning(
    byte_level: Tokenizer, tmp_path: Path, compatibility: Compatibility
) -> None:
    plain = small.save(byte_level, tmp_path / "plain")
    dropping = small.changed(small.save(byte_level, tmp_path / "model"), model__dropout=0.5)
    source = write(tmp_path / "text.txt", TEXT[-20_000:])
    files = []
    for name, directory in (("a", plain), ("b", dropping), ("c", dropping)):
        output = tmp_path / f"{name}.h5"
        result = run("prepare_corpus.py", "--tokenizer", directory, "--output", output, source)
        assert result.returncode == 0
        assert ("dropout of 0.5" in result.stderr) == (directory == dropping)
        files.append(h5py.File(output)["ids"][:].tolist())
    assert files[0] == files[1] == files[2]
    compatibility("Tokenizers", "a BPE with `dropout`", "warned", result.stderr)


def test_truncation_and_padding_cut_no_ids(
    byte_level: Tokenizer, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = small.save(byte_level, tmp_path / "model", tokenizer_config={"model_max_length": 8})
    small.changed(
        directory,
        truncation={"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 64},
            "direction": "Left",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<s>",
        },
    )
    loaded = load_tokenizer(directory)
    for text in TEXTS:
        whole = byte_level.encode(text, add_special_tokens=False).ids
        assert loaded.tokenizer.encode(text, add_special_tokens=False).ids == whole
    compatibility("Tokenizers", "`truncation` and `padding`: without effect", "read")
