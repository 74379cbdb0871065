"""A job or a corpus that cannot be swept is refused: exit code 2 or 3, one message, no hang."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from running import (
    VOCABULARY,
    make_corpus,
    make_job,
    refuse,
    run_alone,
    write_job,
)

JOB_ERROR = 2
CORPUS_ERROR = 3


@pytest.fixture
def job(model: Path, tmp_path: Path) -> Path:
    """A job over a corpus of its own, which a test may damage."""
    corpus = make_corpus(tmp_path / "corpus.h5", 400)
    return write_job(tmp_path / "job.toml", make_job(model, corpus, tmp_path / "sweep.h5"))


def test_all_mistakes_of_a_job_at_once(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(
        "[model]\n"
        'dtype = "float23"\n'
        "[corpus]\n"
        'path = "corpus.h5"\n'
        'sequence_lenght = 16\n'
        "max_sequences = 0\n"
        "[paralel]\n"
        "tensor = 2\n"
        "[output]\n"
        "path = 7\n"
    )
    log = refuse(
        path,
        JOB_ERROR,
        f"{path}:1: [model] path: missing, but required",
        f'{path}:2: [model] dtype: expected one of "float32", "bfloat16", "float16"',
        f'{path}:5: [corpus] sequence_lenght: unknown key; did you mean "sequence_length"?',
        f"{path}:6: [corpus] max_sequences: expected an integer of at least 1, found an",
        f"{path}:7: [paralel]: unknown section; did you mean [parallel]?",
        f"{path}:10: [output] path: expected a string that is not empty, found an integer (7)",
        "--set model.size=3: unknown key",
        sets=["model.size=3"],
    )
    found = [line.split(f"{path}:")[1] for line in log.splitlines() if f"{path}:" in line]
    assert [int(text.split(":")[0]) for text in found] == [1, 2, 5, 6, 7, 10]


def test_job_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text("[model\n")
    refuse(path, JOB_ERROR, f"{path}:1:", "not TOML")


def test_job_that_is_missing(tmp_path: Path) -> None:
    refuse(tmp_path / "no.toml", JOB_ERROR, str(tmp_path / "no.toml"), "cannot open the job file")


@pytest.mark.parametrize(("ranks", "tensor"), [(1, 2), (3, 2), (2, 3)])
def test_world_that_model_groups_do_not_fill(ranks: int, tensor: int, job: Path) -> None:
    refuse(
        job,
        JOB_ERROR,
        f"[parallel] tensor = {tensor}: expected a number of ranks that it divides, found {ranks}",
        ranks=ranks,
        sets=[f"parallel.tensor={tensor}"],
    )
    assert not (job.parent / "sweep.h5.segments").exists() or not list(
        (job.parent / "sweep.h5.segments").iterdir()
    )


@pytest.mark.parametrize("arguments", [[], ["sweep"], ["run"], ["plan", "job.toml"], ["show"]])
def test_command_lines(arguments: list[str]) -> None:
    result = run_alone(*arguments)
    assert result.returncode == JOB_ERROR and result.stderr


def set_schema(file: h5py.File) -> list[str]:
    file.attrs["schema"] = "actsweep"
    return ['attribute schema = "actsweep-corpus"', "another HDF5 file"]


def set_version(file: h5py.File) -> list[str]:
    file.attrs["schema_version"] = np.int64(2)
    return ["schema_version: expected 1, found 2"]


def pass_vocabulary(file: h5py.File) -> list[str]:
    file["ids"][217] = VOCABULARY
    return [f"ids: expected ids below {VOCABULARY}", f"found {VOCABULARY} at token 217"]


def compress(file: h5py.File) -> list[str]:
    ids = file["ids"][()]
    del file["ids"]
    file.create_dataset("ids", data=ids, chunks=(100,), compression="gzip")
    return ["ids"]


def widen(file: h5py.File) -> list[str]:
    ids = file["ids"][()]
    del file["ids"]
    file["ids"] = ids.astype("<u8")
    return ["ids: expected one axis of little-endian uint32"]


def empty(file: h5py.File) -> list[str]:
    del file["ids"]
    file["ids"] = np.zeros(0, dtype="<u4")
    return ["ids: expected at least one token, found none"]


def spoil_documents(file: h5py.File) -> list[str]:
    file["document_offset"][-1] = 399
    return ["document_offset: expected rising offsets from 0 to 400 tokens"]


def lose_classes(file: h5py.File) -> list[str]:
    del file["token_class"]
    return ["token_class"]


def lose_spellings(file: h5py.File) -> list[str]:
    file["vocabulary/offset"][-1] = 5
    return ["vocabulary/offset: expected 98 offsets"]


def lose_fingerprint(file: h5py.File) -> list[str]:
    del file.attrs["corpus_fingerprint"]
    return ["corpus_fingerprint"]


DAMAGES: list[Callable[[h5py.File], list[str]]] = [
    set_schema,
    set_version,
    pass_vocabulary,
    compress,
    widen,
    empty,
    spoil_documents,
    lose_classes,
    lose_spellings,
    lose_fingerprint,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_corpus(damage: Callable[[h5py.File], list[str]], job: Path) -> None:
    corpus = job.parent / "corpus.h5"
    with h5py.File(corpus, "r+") as file:
        words = damage(file)
    refuse(job, CORPUS_ERROR, str(corpus), *words)


@pytest.mark.parametrize("kept_bytes", [0, 700, -500])
def test_truncated_corpus(kept_bytes: int, job: Path) -> None:
    corpus = job.parent / "corpus.h5"
    corpus.write_bytes(corpus.read_bytes()[:kept_bytes])
    refuse(job, CORPUS_ERROR, str(corpus))


def test_missing_corpus(job: Path) -> None:
    refuse(job, CORPUS_ERROR, "no-such.h5", sets=["corpus.path=no-such.h5"])


def test_double_bos(model: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus.h5", 400, special="bos")
    keys = {"bos": "each_window"}
    job = make_job(model, corpus, tmp_path / "sweep.h5", corpus=keys)
    path = write_job(tmp_path / "job.toml", job)
    refuse(path, CORPUS_ERROR, str(corpus), "would double the BOS", 'found special_tokens "bos"')


def test_unknown_prompt(job: Path) -> None:
    refuse(
        job,
        CORPUS_ERROR,
        'prompt "shorter": expected one of the file\'s named prompts',
        "it has: longer short",
        sets=['capture.prompts=["shorter"]'],
    )


def test_corpus_without_a_window(job: Path) -> None:
    words = "expected at least one window of 512 tokens, found 400 tokens in 7 documents"
    refuse(job, CORPUS_ERROR, words, sets=["corpus.sequence_length=512"])
