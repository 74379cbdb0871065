"""Several token files are one corpus in the order of the list: the sweep is that of one file with all
their documents. Files of two tokenizers are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from running import make_job, refuse, run_alone, run_well, said, write_job

from support.compatibility import Compatibility
from support.sweeps import read_datasets
from support.token_files import Corpus, Cut, random_corpus, write_token_file

JOB_ERROR, CORPUS_ERROR = 2, 3
VOCABULARY = 97
LENGTHS = (70, 0, 31, 5, 150, 16, 44, 2, 90)
CUTS_OF_LIST = (4, 5, len(LENGTHS))  # 4 documents, 1, and the others
PROMPTS = {"short": np.array([3, 9, 27], "<u4")}
CUTS = [
    Cut(16),
    Cut(16, windows="per_document"),
    Cut(16, windows="per_document", bos="each_window"),
    Cut(16, max_sequences=9),
]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return random_corpus(VOCABULARY, LENGTHS, seed=3)


@pytest.fixture
def parts(corpus: Corpus, tmp_path: Path) -> list[Path]:
    """The corpus in three files; the second and third have the prompt."""
    paths = []
    for number, (begin, end) in enumerate(zip((0, *CUTS_OF_LIST), CUTS_OF_LIST, strict=False)):
        part = Corpus(VOCABULARY, corpus.documents[begin:end], corpus.classes)
        prompts = PROMPTS if number > 0 else {}
        paths.append(write_token_file(tmp_path / f"part{number}.h5", part, prompts))
    return paths


def job_of(model: Path, corpus: Path | list[Path], name: str, folder: Path, **keys: Any) -> Path:
    job = make_job(model, folder / "-", folder / f"{name}.h5", corpus=keys)
    job["corpus"]["path"] = [str(each) for each in corpus] if isinstance(corpus, list) else str(corpus)
    return write_job(folder / f"{name}.toml", job)


def change(path: Path, make: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "r+") as file:
        make(file)


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_a_list_is_swept_as_one_file(
    cut: Cut, model: Path, corpus: Corpus, parts: list[Path], tmp_path: Path
) -> None:
    whole = write_token_file(tmp_path / "whole.h5", corpus, PROMPTS)
    run_well(job_of(model, whole, "one", tmp_path, **cut.job_keys()), 2)
    run_well(job_of(model, parts, "many", tmp_path, **cut.job_keys()), 2)
    mine, theirs = (read_datasets(tmp_path / f"{name}.h5") for name in ("many", "one"))
    assert mine.keys() == theirs.keys()
    for path, values in theirs.items():
        assert mine[path].tobytes() == values.tobytes(), path
    windows = corpus.windows(cut)
    assert mine["tokens/id"].tolist() == np.concatenate([each.ids for each in windows]).tolist()
    documents = np.concatenate([each.documents for each in windows])
    assert mine["tokens/document"].tolist() == documents.tolist()


def test_the_file_names_the_list_and_its_order(
    model: Path, parts: list[Path], tmp_path: Path, compatibility: Compatibility
) -> None:
    run_well(job_of(model, parts, "forth", tmp_path), 2)
    run_well(job_of(model, parts[::-1], "back", tmp_path), 2)
    with h5py.File(tmp_path / "forth.h5") as forth, h5py.File(tmp_path / "back.h5") as back:
        assert 'path = ["part0.h5", "part1.h5", "part2.h5"]' in forth.attrs["job"]
        assert forth.attrs["num_documents"] == len(LENGTHS)
        assert forth.attrs["corpus_fingerprint"] != back.attrs["corpus_fingerprint"]
    compatibility("Corpora", "several token files as one corpus", "read")


def test_a_list_of_one_is_that_file(model: Path, parts: list[Path], tmp_path: Path) -> None:
    run_well(job_of(model, parts[2:], "list", tmp_path), 2)
    run_well(job_of(model, parts[2], "file", tmp_path), 2)
    with h5py.File(tmp_path / "list.h5") as mine, h5py.File(tmp_path / "file.h5") as theirs:
        assert mine.attrs["job"] == theirs.attrs["job"]
        assert mine.attrs["corpus_fingerprint"] == theirs.attrs["corpus_fingerprint"]


def test_an_override_may_be_a_list(model: Path, parts: list[Path], tmp_path: Path) -> None:
    job = job_of(model, parts[2], "job", tmp_path)
    text = ", ".join(f'"{path}"' for path in parts)
    done = run_alone("plan", job, "--ranks", 2, "--set", f"corpus.path=[{text}]")
    assert done.returncode == 0 and f"{sum(LENGTHS) // 16 * 16} tokens" in done.stdout, done.stderr


def set_attribute(name: str, value: Any) -> Callable[[h5py.File], None]:
    return lambda file: file.attrs.__setitem__(name, value)


def set_bytes(path: str, place: int, value: int) -> Callable[[h5py.File], None]:
    return lambda file: file[path].__setitem__(place, value)


OTHERS = {
    "tokenizer_fingerprint": set_attribute("tokenizer_fingerprint", "another"),
    "special_tokens": set_attribute("special_tokens", "bos"),
    "bos_id": set_attribute("bos_id", np.int64(5)),
    "eos_id": set_attribute("eos_id", np.int64(5)),
    "vocabulary": set_bytes("vocabulary/bytes", 3, 66),
    "token_class": lambda file: file["token_class"].__setitem__(4, 1 + file["token_class"][4] % 3),
}


@pytest.mark.parametrize("what", OTHERS)
def test_files_of_two_tokenizers_are_refused(
    what: str, model: Path, parts: list[Path], tmp_path: Path, compatibility: Compatibility
) -> None:
    change(parts[2], OTHERS[what])
    job = job_of(model, parts, "job", tmp_path)
    log = refuse(job, CORPUS_ERROR, f"{parts[2]}: {what}: ", f"as in {parts[0]}", ranks=2)
    if what == "tokenizer_fingerprint":
        compatibility("Corpora", "several token files of different tokenizers", "refused", said(log))


def test_a_prompt_of_two_contents_is_refused(model: Path, parts: list[Path], tmp_path: Path) -> None:
    def replace(file: h5py.File) -> None:
        del file["prompts/short"]
        file["prompts/short"] = np.array([3, 9, 28], "<u4")

    change(parts[2], replace)
    words = f'{parts[2]}: prompt "short": expected the ids that it has in {parts[1]}'
    refuse(job_of(model, parts, "job", tmp_path), CORPUS_ERROR, words, ranks=2)


def test_a_list_that_is_none_is_refused(model: Path, parts: list[Path], tmp_path: Path) -> None:
    job = job_of(model, parts[2], "job", tmp_path)
    for value, words in (
        ("[]", "the list is empty"),
        ('["a.h5", "a.h5"]', 'entry 2: "a.h5" is named twice'),
        ('["a.h5", 3]', "entry 2: expected a string that is not empty, found an integer (3)"),
        ("3", "expected a string that is not empty, or a list of such, found an integer (3)"),
    ):
        refuse(job, JOB_ERROR, f"corpus.path={value}: {words}", ranks=2, sets=[f"corpus.path={value}"])
