"""Which documents prepare_corpus.py takes; mistakes; special tokens that texts spell; files of ids."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import small_tokenizers as small
from corpus_files import COMPRESSORS
from corpus_formats import add_member, lines
from preparing import DATA, assert_refused, run, write
from preparation.corpus_pieces import CorpusPieces
from preparation.encoding import Piece, encode
from preparation.errors import PreparationError
from preparation.id_files import INDEX_HEADER, INDEX_MAGIC
from preparation.inputs import Input
from preparation.mistakes import Mistakes
from preparation.reading import Reading
from preparation.remarks import Remarks
from preparation.selection import Selection, Shard, mixed
from preparation.source_log import TextLog
from preparation.special_spellings import SpecialSpellings
from preparation.text_encoder import tokenizer_of
from preparation.tokenizer_directory import load_tokenizer
from preparation.vocabulary import load_vocabulary
from support.compatibility import Compatibility

TEXTS = [f"Document {i} of <s>many</s>." for i in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"bos_token": "<s>", "eos_token": "</s>"}
    directory = tmp_path_factory.mktemp("small") / "model"
    return small.save(small.byte_level(), directory, tokenizer_config=settings)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "a.jsonl"
    path.write_bytes(lines(TEXTS))
    return path


def prepared(model: Path, folder: Path, *arguments: object) -> h5py.File:
    output = folder / "out.h5"
    options = ("--tokenizer", model, "--output", output, "--jobs", 1)
    result = run("prepare_corpus.py", *options, *arguments)
    assert result.returncode == 0, result.stderr
    (folder / "said").write_text(result.stderr)
    return h5py.File(output)


def documents_of(file: h5py.File) -> list[list[int]]:
    return [ids.tolist() for ids in np.split(file["ids"][:], file["document_offset"][1:-1].astype(int))]


@pytest.mark.parametrize("choice", ["text", "parse"])
def test_special_tokens_in_texts_have_the_ids_of_transformers(
    choice: str, model: Path, source: Path, tmp_path: Path
) -> None:
    file = prepared(model, tmp_path, "--special-in-text", choice, source)
    oracle = AutoTokenizer.from_pretrained(model)
    expected = oracle(TEXTS, add_special_tokens=False, split_special_tokens=choice == "text").input_ids
    assert documents_of(file) == expected
    assert file.attrs["special_in_text"] == choice
    assert file.attrs["special_in_text_count"] == 2 * len(TEXTS)


def saved(kind: Callable[[], Tokenizer]) -> Callable[[Path], Path]:
    return lambda directory: small.save(kind(), directory)


KINDS: dict[str, Callable[[Path], Path]] = {
    "byte-level BPE": saved(small.byte_level),
    "SentencePiece's BPE, with bytes for what is unknown": saved(small.byte_fallback),
    "SentencePiece's unigram": saved(small.unigram),
    "SentencePiece's unigram, with bytes for what is unknown": saved(small.unigram_with_bytes),
    "WordPiece": saved(small.word_piece),
    "Tekken": small.save_tekken,
}


@pytest.mark.parametrize("kind", KINDS)
def test_choices_are_those_of_transformers_for_every_kind(
    kind: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    directory = KINDS[kind](tmp_path / "model")
    loaded = load_tokenizer(directory)
    special = [one.content for one in loaded.tokenizer.get_added_tokens_decoder().values() if one.special]
    texts = [f"It is {token}the {token} year{token}. 日" for token in special]
    oracle = AutoTokenizer.from_pretrained(directory)
    ids = {}
    for stays_text in (True, False):
        tokenizer = tokenizer_of(loaded.backend, stays_text)
        found = encode(tokenizer, [Piece(text, "", True) for text in texts])
        ids[stays_text] = [one.tolist() for one in found]
        expected = oracle(texts, add_special_tokens=False, split_special_tokens=stays_text).input_ids
        assert ids[stays_text] == expected
    assert special and ids[True] != ids[False]
    known = load_vocabulary(loaded)
    assert set(known.special_texts) == set(special)
    refusing = SpecialSpellings(known.special_texts, "refuse", Remarks())
    for text in texts:
        with pytest.raises(PreparationError, match="expected no special token in the text"):
            refusing.look_at(Piece(text, "", True), "a.txt")
    compatibility("Tokenizers", f"{kind}: special tokens in texts, by --special-in-text", "read")


def test_word_piece_gives_berts_ids_and_words(tmp_path: Path, compatibility: Compatibility) -> None:
    directory = small.save(small.word_piece(), tmp_path / "model")
    texts = ["The year's Naïve end.\n\nThe fox", "unimaginable 1999"]
    source = tmp_path / "a.jsonl"
    source.write_bytes(lines(texts))
    file = prepared(directory, tmp_path, "--byte-offsets", source)
    oracle = AutoTokenizer.from_pretrained(directory)
    encoded = oracle(texts, add_special_tokens=False, return_offsets_mapping=True)
    assert documents_of(file) == encoded.input_ids
    raw, offset = file["vocabulary/bytes"][:].tobytes(), file["vocabulary/offset"][:].tolist()
    for ids in encoded.input_ids:
        text = b"".join(raw[offset[i] : offset[i + 1]] for i in ids).decode()
        assert text.split() == " ".join(oracle.convert_ids_to_tokens(ids)).replace(" ##", "").split()
    begins = np.split(file["byte_offset"][:], file["document_offset"][1:-1].astype(int))
    for text, found, places in zip(texts, begins, encoded.offset_mapping, strict=True):
        assert found.tolist() == [len(text[:begin].encode()) for begin, _ in places]
    compatibility("Tokenizers", "WordPiece", "read")


def test_special_tokens_in_texts_can_be_refused(model: Path, source: Path, tmp_path: Path) -> None:
    options = ("--tokenizer", model, "--output", tmp_path / "out.h5", "--special-in-text", "refuse")
    assert_refused(run("prepare_corpus.py", *options, source), 3, "line 1", "'<s>' at its byte 14")


def test_first_documents_and_tokens_are_taken(model: Path, source: Path, tmp_path: Path) -> None:
    whole = documents_of(prepared(model, tmp_path, source))
    assert documents_of(prepared(model, tmp_path, "--documents", 3, source, source)) == whole[:3]
    most = len(whole[0]) + 5
    file = prepared(model, tmp_path, "--tokens", most, source, source)
    assert documents_of(file) == [whole[0], whole[1][:5]]
    (first,) = json.loads(file.attrs["sources"])
    assert (first["documents"], first["sha256"]) == (2, None)  # of it and of no other was taken
    assert json.loads(file.attrs["selection"]) == {"tokens": most, "seed": 0}


def test_shards_and_samples_are_of_document_numbers(model: Path, source: Path, tmp_path: Path) -> None:
    whole = documents_of(prepared(model, tmp_path, source, source))
    file = prepared(model, tmp_path, "--shard", "1/3", "--sample", 0.5, "--seed", 9, source, source)
    taken = Selection(sample=0.5, seed=9, shard=Shard(1, 3))
    assert documents_of(file) == [ids for i, ids in enumerate(whole) if taken.takes(i)]


def test_samples_are_what_chance_says() -> None:
    """SplitMix64's own first values for the seed 1234567, and shares within 5 standard deviations."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [mixed(1234567, i) for i in range(3)] == published
    small_, large = (Selection(sample=p, seed=3) for p in (0.1, 0.2))
    taken = [{i for i in range(20_000) if one.takes(i)} for one in (small_, large)]
    assert taken[0] < taken[1]
    assert abs(len(taken[0]) - 2000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5
    shards = [{i for i in range(100) if Selection(shard=Shard(k, 3)).takes(i)} for k in range(3)]
    assert sorted(i for one in shards for i in one) == list(range(100))


def test_mistakes_are_left_out_and_said(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    broken = lines(TEXTS[:2]) + b'{"text": null}\n{"te\n{"text": "\xff"}\n{"text": "\\ud800"}\n'
    (tmp_path / "a.jsonl").write_bytes(broken + lines(TEXTS[2:4]))
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7\n")
    (tmp_path / "c.txt").write_bytes(b"kept \xff not kept")
    files = [tmp_path / name for name in ("a.jsonl", "b.pdf", "c.txt")]
    file = prepared(model, tmp_path, "--on-error", "skip", *files)
    oracle = AutoTokenizer.from_pretrained(model)
    assert [oracle.decode(ids) for ids in documents_of(file)] == [*TEXTS[:4], "kept "]
    assert file.attrs["mistakes"] == 6
    first = json.loads(file.attrs["first_mistakes"])
    places = ["line 3 (byte ", "line 4 (byte ", "at byte ", "line 6 (byte ", "b.pdf is a PDF", "c.txt"]
    assert "line 5 (byte " in first[2]
    assert len(first) == 6 and all(place in said for place, said in zip(places, first, strict=True))
    said = (tmp_path / "said").read_text().splitlines()[0]
    assert "6 mistake(s) were left out" in said
    compatibility("Corpora", "mistakes, with `--on-error skip`", "warned", said.partition(": ")[2])


def kept_of(path: Path) -> tuple[list[str], list[str]]:
    """The documents that are read of a file with --on-error skip, and its mistakes."""
    reading = Reading(mistakes=Mistakes(skips=True))
    no_special = SpecialSpellings((), "text", reading.remarks)
    pieces = CorpusPieces(reading, Selection(), None, no_special, TextLog([Input(path, path.name)], True))
    return [piece.text for piece, _, _ in pieces], reading.mistakes.first


@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_what_stands_before_the_end_of_a_cut_file_is_kept(suffix: str, tmp_path: Path) -> None:
    """Of a file of two members, of which the second is cut."""
    compress = COMPRESSORS[suffix]
    first, last = (compress(lines(part)) for part in (TEXTS[:30], TEXTS[30:]))
    path = tmp_path / f"a.jsonl.{suffix}"
    path.write_bytes(first + last[:-5])
    texts, (mistake,) = kept_of(path)
    assert len(texts) >= 30 and texts == TEXTS[: len(texts)]
    assert f"ends in the middle, at byte {len(first + last) - 5}; its text was read up to line" in mistake
    words = "".join(f"{i} words. " for i in range(100_000))  # more than is read at once
    path = tmp_path / f"b.txt.{suffix}"
    path.write_bytes(compress(words.encode()) + compress(words.encode())[:-5])
    (text,), _ = kept_of(path)
    assert len(text) >= len(words) and (words * 2).startswith(text)


def test_mistakes_in_an_archive_are_of_a_member(tmp_path: Path) -> None:
    """Those behind it are read, until the archive ends."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in (("a.txt", b"%PDF-1.7"), ("b.jsonl", lines(TEXTS[:2])), ("c.txt", b"c" * 3000)):
            add_member(archive, name, content)
    texts, (mistake,) = kept_of(path)
    assert texts == [*TEXTS[:2], "c" * 3000] and "a.txt is a PDF" in mistake
    path.write_bytes(path.read_bytes()[:4096])
    texts, mistakes = kept_of(path)
    assert texts[:2] == TEXTS[:2] and len(texts) == 3 and texts[2] == "c" * len(texts[2])
    assert len(mistakes) == 2 and "in c.txt (byte 4096)" in mistakes[1]


def test_an_empty_corpus_says_what_was_left_out(model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": null}\n')
    options = ("--tokenizer", model, "--output", tmp_path / "out.h5", "--on-error", "skip")
    result = run("prepare_corpus.py", *options, tmp_path / "a.jsonl")
    assert_refused(result, 3, "the corpus is empty: 1 mistake(s)", "a.jsonl, line 1", "found null")


def test_standard_input_is_read(model: Path, source: Path, tmp_path: Path) -> None:
    options = ("--tokenizer", model, "--output", tmp_path / "in.h5", "-")
    command = [sys.executable, DATA / "prepare_corpus.py", *options]
    result = subprocess.run(command, input=source.read_bytes(), capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "in.h5") as file:
        assert documents_of(file) == documents_of(prepared(model, tmp_path, source))
        assert json.loads(file.attrs["sources"])[0]["name"] == "-"


IDS = [[1, 2, 3], [], [4, 0], [5] * 7]


def megatron(path: Path, dtype: str, code: int) -> Path:
    """As its IndexedDatasetBuilder writes: the third document is of two sequences."""
    sequences = [IDS[0], IDS[1], [4], [0], IDS[3]]
    lengths = np.array([len(ids) for ids in sequences], "<i4")
    begins = np.cumsum([0, *lengths[:-1]]) * np.dtype(dtype).itemsize
    np.concatenate([np.array(ids, dtype) for ids in sequences]).tofile(path)
    borders = np.array([0, 1, 2, 4, 5], "<i8")
    header = INDEX_HEADER.pack(INDEX_MAGIC, 1, code, len(sequences), len(borders))
    index = header + lengths.tobytes() + begins.astype("<i8").tobytes() + borders.tobytes()
    path.with_suffix(".idx").write_bytes(index)
    return path


def test_ids_are_taken_as_they_are(model: Path, tmp_path: Path, compatibility: Compatibility) -> None:
    np.save(tmp_path / "one.npy", np.array(IDS[3], "u1"))
    np.save(tmp_path / "two.npy", np.array([[1, 2], [3, 4]], ">i8"))
    files = [megatron(tmp_path / "a.bin", "<u2", 8), megatron(tmp_path / "b.bin", "<i4", 4)]
    arrays = [tmp_path / "one.npy", tmp_path / "two.npy"]
    expected = [*IDS, *IDS, IDS[3], [1, 2], [3, 4]]
    assert documents_of(prepared(model, tmp_path, "--ids", *files, *arrays)) == expected
    file = prepared(model, tmp_path, "--ids", "--special", "bos-eos", "--documents", 2, *files)
    assert documents_of(file) == [[0, *ids, 1] for ids in IDS[:2]]
    for what in ("Megatron's `.bin` and `.idx`", "NumPy arrays of ids"):
        compatibility("Corpora", f"{what}, with `--ids`", "read")


BAD_IDS = {
    "an id beyond the vocabulary": (np.array([[1], [500]]), ["document 2, token 1", "below 500", "500"]),
    "a negative id": (np.array([1, -2]), ["token 2", "-2"]),
    "an array of ids in floating point": (np.ones(3), ["whole numbers", "float64"]),
}


@pytest.mark.parametrize("what", BAD_IDS)
def test_numbers_that_are_no_ids_are_refused(
    what: str, model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    array, words = BAD_IDS[what]
    np.save(tmp_path / "a.npy", array)
    options = ("--tokenizer", model, "--output", tmp_path / "out.h5", "--ids")
    result = run("prepare_corpus.py", *options, tmp_path / "a.npy")
    assert_refused(result, 3, "a.npy", *words)
    compatibility("Corpora", what, "refused", result.stderr)


def test_ids_without_their_index_are_refused(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = megatron(tmp_path / "a.bin", "<u2", 8)
    options = ("--tokenizer", model, "--output", tmp_path / "out.h5", "--ids", path)
    path.write_bytes(path.read_bytes()[:-2])
    cut = run("prepare_corpus.py", *options)
    assert_refused(cut, 3, "a.bin", "may be truncated")
    compatibility("Corpora", "Megatron's `.bin` that ends early", "refused", cut.stderr)
    path.with_suffix(".idx").unlink()
    alone = run("prepare_corpus.py", *options)
    assert_refused(alone, 3, "a.idx", "index")
    compatibility("Corpora", "Megatron's `.bin` without its `.idx`", "refused", alone.stderr)


def test_other_words_than_the_options_take_are_a_bad_command_line(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "text")
    options = ("--tokenizer", model, "--output", tmp_path / "out.h5", source)
    for bad in (("--shard", "3/3"), ("--sample", "0"), ("--where", "language"), ("--documents", "0")):
        result = run("prepare_corpus.py", *options, *bad)
        assert result.returncode == 2 and bad[0] in result.stderr
