"""A directory's tokenizer is asked of transformers once, and again whenever anything of it has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import pytest
import sentencepiece
from transformers import AutoTokenizer

from preparing import DATA, TEXT, run
from preparation import tokenizer_cache, tokenizer_directory
from preparation.errors import PreparationError
from preparation.tokenizer_directory import ModelTokenizer, load_tokenizer


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tokenizer.model alone, which transformers converts."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "text").write_text(TEXT[:40_000])
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "tokenizer"), vocab_size=400,
        model_type="bpe", byte_fallback=True, num_threads=1, minloglevel=2,
    )  # fmt: skip
    (folder / "text").unlink()
    (folder / "tokenizer.vocab").unlink()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    return folder


@pytest.fixture
def directory(published: Path, tmp_path: Path) -> Path:
    """One that a test may change."""
    return shutil.copytree(published, tmp_path / "model")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Path]]:
    """The directories of which transformers was asked, with a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directories: list[Path] = []
    ask = tokenizer_directory._ask_autotokenizer

    def counted(directory: Path) -> dict[str, object]:
        directories.append(directory)
        return ask(directory)

    monkeypatch.setattr(tokenizer_directory, "_ask_autotokenizer", counted)
    yield directories


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache" / "actsweep").iterdir())


def facts(loaded: ModelTokenizer) -> tuple[object, ...]:
    """All but the tokenizer itself, whose text is among them."""
    return (
        loaded.path, loaded.backend, loaded.splits_special_tokens, loaded.bos_id, loaded.eos_id,
        loaded.fingerprint, loaded.warnings,
    )  # fmt: skip


def test_a_tokenizer_is_asked_for_once(directory: Path, asked: list[Path], tmp_path: Path) -> None:
    first, second = load_tokenizer(directory), load_tokenizer(directory)
    assert asked == [directory] and len(entries(tmp_path)) == 1
    assert facts(first) == facts(second)
    oracle = AutoTokenizer.from_pretrained(directory)
    assert second.tokenizer.encode(TEXT, add_special_tokens=False).ids == oracle(
        TEXT, add_special_tokens=False
    ).input_ids


def test_whatever_changes_is_asked_for_anew(
    directory: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizer_directory, "_ask_autotokenizer", answer_of(asked))
    keeps = tokenizer_cache.kept_answer

    def number_of_askings() -> int:
        keeps(directory, lambda: tokenizer_directory._ask_autotokenizer(directory))
        return len(asked)

    assert [number_of_askings(), number_of_askings()] == [1, 1]
    settings, weights = directory / "tokenizer_config.json", directory / "model.safetensors"
    state = settings.stat()
    settings.write_text(settings.read_text().replace("LlamaTokenizer", "GemmaTokenizer"))
    os.utime(settings, ns=(state.st_atime_ns, state.st_mtime_ns))  # of the same size and times
    assert settings.stat().st_size == state.st_size and number_of_askings() == 2
    (directory / "added_tokens.json").write_text("{}")
    assert number_of_askings() == 3
    (directory / "added_tokens.json").unlink()  # as it was before
    weights.write_bytes(b"no tokenizer")
    assert number_of_askings() == 3
    (directory / "a folder").mkdir()
    assert number_of_askings() == 4
    monkeypatch.setattr(tokenizer_cache, "_version_of", lambda name: f"{name} of tomorrow")
    assert number_of_askings() == 5
    monkeypatch.setattr(tokenizer_cache, "CHILD", settings)
    assert [number_of_askings(), number_of_askings()] == [6, 6]
    directory.rename(directory.with_name("other"))
    directory.mkdir()
    shutil.copytree(directory.with_name("other"), directory, dirs_exist_ok=True)
    assert number_of_askings() == 6
    monkeypatch.setattr(tokenizer_cache, "MOST_BYTES", 100)
    assert [number_of_askings(), number_of_askings()] == [7, 8]


def answer_of(asked: list[Path]) -> Callable[[Path], dict[str, object]]:
    """One that takes no time."""

    def ask(directory: Path) -> dict[str, object]:
        asked.append(directory)
        return {"backend": "one"}

    return ask


def test_what_changes_while_it_is_read_is_not_kept(
    directory: Path, asked: list[Path], tmp_path: Path
) -> None:
    def ask() -> dict[str, object]:
        asked.append(directory)
        (directory / "added_tokens.json").write_text("{}")
        return {"backend": "of the new files"}

    tokenizer_cache.kept_answer(directory, ask)
    assert not (tmp_path / "cache").exists()
    (directory / "added_tokens.json").unlink()
    tokenizer_cache.kept_answer(directory, ask)
    assert len(asked) == 2


def test_a_refused_tokenizer_is_asked_for_each_time(directory: Path, asked: list[Path]) -> None:
    (directory / "tokenizer.model").write_bytes(b"none")
    for _ in range(2):
        with pytest.raises(PreparationError):
            load_tokenizer(directory)
    assert len(asked) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "a bit", "a folder"])
def test_a_damaged_entry_is_as_none(
    damage: str, directory: Path, asked: list[Path], tmp_path: Path
) -> None:
    ask = answer_of(asked)
    tokenizer_cache.kept_answer(directory, lambda: ask(directory))
    (name,) = entries(tmp_path)
    entry = tmp_path / "cache" / "actsweep" / name
    content = entry.read_bytes()
    if damage == "a folder":
        entry.unlink()
        entry.mkdir()
    else:
        changed = {"cut": content[:-1], "empty": b"", "a bit": content.replace(b"one", b"onf")}
        entry.write_bytes(changed[damage])
    for _ in range(2):
        found = tokenizer_cache.kept_answer(directory, lambda: ask(directory))
        assert found == {"backend": "one"}
    assert len(asked) == (3 if damage == "a folder" else 2)
    assert entries(tmp_path) == [name]


@pytest.mark.parametrize("place", ["a file", "nowhere", "relative"])
def test_without_a_place_every_run_asks(
    place: str, directory: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    monkeypatch.chdir(tmp_path)
    if place != "a file":
        monkeypatch.setenv("XDG_CACHE_HOME", "" if place == "nowhere" else "relative")
        monkeypatch.delenv("HOME")
    ask = answer_of(asked)
    before = sorted(tmp_path.iterdir())
    for _ in range(2):
        tokenizer_cache.kept_answer(directory, lambda: ask(directory))
    assert len(asked) == 2 and sorted(tmp_path.iterdir()) == before


def test_two_runs_at_once_keep_one_entry(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The quick brown fox.")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    runs = []
    for number in range(2):
        output = tmp_path / f"{number}.h5"
        options = ["--tokenizer", directory, "--output", output, tmp_path / "a.txt", "--jobs", "1"]
        command = [sys.executable, DATA / "prepare_corpus.py", *options]
        runs.append(subprocess.Popen(command, stderr=subprocess.PIPE, env=environment))
    for one in runs:
        assert one.wait() == 0, one.stderr.read()
        one.stderr.close()
    assert len(entries(tmp_path)) == 1  # and nothing partial
    shutil.rmtree(tmp_path / "cache")
    options = ("--tokenizer", directory, "--output", tmp_path / "alone.h5", tmp_path / "a.txt")
    assert run("prepare_corpus.py", *options).returncode == 0
    fingerprints = {fingerprint_of(tmp_path / f"{name}.h5") for name in ("0", "1", "alone")}
    assert len(fingerprints) == 1


def fingerprint_of(path: Path) -> str:
    with h5py.File(path) as file:
        return file.attrs["corpus_fingerprint"] + file.attrs["tokenizer_fingerprint"]
