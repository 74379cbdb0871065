"""Ids beyond the model's rows are refused wherever they come from, with the id and the vocabulary;
a BOS that stands twice is said aloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from running import (
    VOCABULARY,
    make_corpus,
    make_job,
    refuse,
    run_alone,
    run_well,
    said,
    write_job,
)

from support.compatibility import Compatibility
from support.token_files import BOS_ID, Cut, random_corpus, write_token_file

CORPUS_ERROR = 3


@pytest.fixture
def job(model: Path, tmp_path: Path) -> Path:
    """One segment of a corpus of its own, which a test may change."""
    corpus = make_corpus(tmp_path / "corpus.h5", 400)
    keys = {"parallel": {"tensor": 1}}
    return write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5", **keys))


def change(job: Path, make: Callable[[h5py.File], None]) -> Path:
    corpus = job.parent / "corpus.h5"
    with h5py.File(corpus, "r+") as file:
        make(file)
    return corpus


def set_prompt(name: str, ids: np.ndarray) -> Callable[[h5py.File], None]:
    def replace(file: h5py.File) -> None:
        del file[f"prompts/{name}"]
        file[f"prompts/{name}"] = ids

    return replace


@pytest.mark.parametrize("wrong", [VOCABULARY, 2**32 - 1])
def test_prompt_with_an_id_beyond_the_vocabulary(
    wrong: int, job: Path, compatibility: Compatibility
) -> None:
    corpus = change(job, set_prompt("short", np.array([3, wrong, 5], "<u4")))
    log = refuse(
        job,
        CORPUS_ERROR,
        f'{corpus}: prompt "short": expected ids below {VOCABULARY}',
        "the vocabulary of the model and of the tokenizer",
        f"found {wrong} at token 1",
        ranks=1,
    )
    assert not (job.parent / "sweep.h5.segments").exists()
    if wrong == VOCABULARY:
        compatibility(
            "Corpora", "a captured prompt with an id beyond the model's rows", "refused",
            said(log),
        )


def test_the_largest_id_of_a_prompt_is_read(job: Path) -> None:
    ids = np.array([3, VOCABULARY - 1, 0], "<u4")
    change(job, set_prompt("short", ids))
    run_well(job, 1)
    with h5py.File(job.parent / "sweep.h5") as file:
        assert file["capture/short/id"][()].tolist() == ids.tolist()


def test_prompt_that_is_not_captured_does_not_count(job: Path) -> None:
    change(job, set_prompt("longer", np.array([3, VOCABULARY], "<u4")))
    run_well(job, 1)


@pytest.mark.parametrize("ids", [np.array([3, -5]), np.array([3, 2**33], "<u8"), np.array([1.5, 2])])
def test_prompt_of_another_type(ids: np.ndarray, job: Path) -> None:
    """HDF5 would make 0 of -5, 2^32 - 1 of 2^33, and 1 of 1.5."""
    corpus = change(job, set_prompt("short", ids))
    words = "prompts/short: expected one axis of little-endian uint32"
    refuse(job, CORPUS_ERROR, f"{corpus}: {words}", ranks=1)


@pytest.mark.parametrize("bos", [VOCABULARY, 2**32, 2**40])
def test_bos_beyond_the_vocabulary(bos: int, job: Path, compatibility: Compatibility) -> None:
    corpus = change(job, lambda file: file.attrs.modify("bos_id", np.int64(bos)))
    log = refuse(
        job,
        CORPUS_ERROR,
        f"{corpus}: bos_id: ",
        f"expected an id below {VOCABULARY}",
        f"found {bos}",
        ranks=1,
        sets=["corpus.bos=each_window"],
    )
    if bos == VOCABULARY:
        compatibility(
            "Corpora", 'a BOS beyond the model\'s rows, `bos = "each_window"`', "refused",
            said(log),
        )
    run_well(job, 1)  # where no window begins with it


def test_ids_beyond_a_class_table_that_is_shorter_than_the_vocabulary(job: Path) -> None:
    def shorten(file: h5py.File) -> None:
        classes, offsets = file["token_class"][:90], file["vocabulary/offset"][:91]
        data = file["vocabulary/bytes"][: offsets[-1]]
        for name, values in {
            "token_class": classes,
            "vocabulary/offset": offsets,
            "vocabulary/bytes": data,
        }.items():
            del file[name]
            file[name] = values
        file["ids"][:] = file["ids"][()] % 90

    corpus = change(job, shorten)
    change(job, set_prompt("short", np.array([3, 90], "<u4")))
    refuse(job, CORPUS_ERROR, 'prompt "short": expected ids below 90', "found 90", ranks=1)
    change(job, lambda file: file["ids"].write_direct(np.full(1, 90, "<u4"), dest_sel=np.s_[7:8]))
    words = f"{corpus}: ids: expected ids below 90"
    refuse(job, CORPUS_ERROR, words, "found 90 at token 7", ranks=1, sets=["capture.prompts=[]"])


@pytest.mark.parametrize("value", [0, 4, 255])
def test_classes_that_there_are_not(value: int, job: Path) -> None:
    corpus = change(job, lambda file: file["token_class"].write_direct(
        np.full(1, value, np.uint8), dest_sel=np.s_[11:12]
    ))
    words = f"{corpus}: token_class: expected classes 1 to 3, found {value} of id 11"
    refuse(job, CORPUS_ERROR, words, ranks=1)


def test_spellings_that_do_not_rise(job: Path) -> None:
    def swap(file: h5py.File) -> None:
        file["vocabulary/offset"][3] = file["vocabulary/offset"][9]

    corpus = change(job, swap)
    words = f"{corpus}: vocabulary/offset: expected {VOCABULARY + 1} offsets that rise"
    refuse(job, CORPUS_ERROR, words, ranks=1)


def doubled(tmp_path: Path, windows: str) -> tuple[Path, dict[str, Any]]:
    """A token file of six documents of which three begin with the BOS, one is empty."""
    generator = np.random.default_rng(3)
    begins = [True, False, True, False, True]
    documents = [
        np.concatenate([[BOS_ID] * is_begun, generator.integers(2, VOCABULARY, 20)]).astype("<u4")
        for is_begun in begins
    ]
    documents.insert(2, np.zeros(0, "<u4"))
    corpus = random_corpus(VOCABULARY, [len(ids) for ids in documents])
    corpus = type(corpus)(VOCABULARY, documents, corpus.classes)
    cut = Cut(sequence_length=16, windows=windows, bos="each_window")
    of_windows = [window.ids[:2].tolist() for window in corpus.windows(cut)]
    facts = {
        "documents": len(documents),
        "twice": of_windows.count([BOS_ID, BOS_ID]),
        "windows": len(of_windows),
        "keys": cut.job_keys(),
    }
    return write_token_file(tmp_path / "bos.h5", corpus, {"short": documents[0]}), facts


@pytest.mark.parametrize("windows", ["packed", "per_document"])
def test_bos_twice_is_said_once(
    windows: str, model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    corpus, facts = doubled(tmp_path, windows)
    job = make_job(model, corpus, tmp_path / "sweep.h5", corpus=facts["keys"])
    path = write_job(tmp_path / "job.toml", job)
    words = (
        f"{corpus}: 3 of {facts['documents']} documents begin with the BOS (id {BOS_ID}) in their"
        ' text: [corpus] bos = "each_window" has it twice at the start of'
        f" {facts['twice']} of {facts['windows']} windows"
    )
    assert (windows == "per_document") == (facts["twice"] == 3)
    log = run_well(path, 2)
    assert log.count(words) == 1 and log.count("] warning: ") == 1, log
    plan = run_alone("plan", path, "--ranks", 2)
    assert plan.stdout.count(f"warning       {words}") == 1, plan.stdout
    if windows == "per_document":
        what = 'documents that begin with the BOS, `bos = "each_window"`'
        compatibility("Corpora", what, "warned", said(log, "warning"))


def test_bos_once_is_not_warned_of(model: Path, tmp_path: Path) -> None:
    corpus, _ = doubled(tmp_path, "per_document")
    job = make_job(model, corpus, tmp_path / "sweep.h5")
    assert "warning" not in run_well(write_job(tmp_path / "job.toml", job), 2)
