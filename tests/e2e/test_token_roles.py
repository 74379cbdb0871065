"""The roles of a corpus of chats stand beside the tokens of a sweep file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from running import make_job, refuse, run_well, said, write_job

from support.compatibility import Compatibility
from support.token_files import Corpus, Cut, random_corpus, write_token_file

CORPUS_ERROR = 3
VOCABULARY = 97
LENGTHS = (70, 0, 31, 5, 150, 16, 44)
CUTS = [
    Cut(16),
    Cut(16, windows="per_document"),
    Cut(16, bos="each_window"),
    Cut(16, windows="per_document", bos="each_window"),
]


def chats(folder: Path, name: str, seed: int, *, roles: np.ndarray | None = None) -> Path:
    """A token file of chats; the role of a token is a function of its id."""
    corpus = random_corpus(VOCABULARY, LENGTHS, seed=seed)
    path = write_token_file(folder / f"{name}.h5", corpus, {"short": np.array([3, 9, 27], "<u4")})
    with h5py.File(path, "r+") as file:
        file["token_role"] = roles_of(file["ids"][()]) if roles is None else roles
    return path


def roles_of(ids: np.ndarray) -> np.ndarray:
    return (ids % 5).astype(np.uint8)


def job_of(model: Path, paths: list[Path], folder: Path, **keys: Any) -> Path:
    job = make_job(model, folder / "-", folder / "sweep.h5", corpus=keys)
    job["corpus"]["path"] = [str(path) for path in paths]
    return write_job(folder / "job.toml", job)


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_each_token_has_its_role(cut: Cut, files: int, model: Path, tmp_path: Path) -> None:
    paths = [chats(tmp_path, f"part{number}", number) for number in range(files)]
    parts = [random_corpus(VOCABULARY, LENGTHS, seed=number) for number in range(files)]
    documents = [document for part in parts for document in part.documents]
    corpus = Corpus(VOCABULARY, documents, parts[0].classes)
    for path in paths[1:]:
        with h5py.File(path, "r+") as file:
            file["token_class"][...] = corpus.classes
    run_well(job_of(model, paths, tmp_path, **cut.job_keys()), 2)
    expected = []
    for window in corpus.windows(cut):
        roles = roles_of(window.ids)
        if cut.bos == "each_window":
            roles[0] = 0
        expected.append(roles)
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert file["tokens/role"].dtype == np.uint8
        assert file["tokens/role"][()].tolist() == np.concatenate(expected).tolist()


def test_a_corpus_of_texts_has_no_roles(model: Path, corpus: Path, tmp_path: Path) -> None:
    run_well(job_of(model, [corpus], tmp_path), 2)
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert "tokens/role" not in file


WRONG: dict[str, tuple[np.ndarray, str]] = {
    "fewer": (np.zeros(7, np.uint8), "token_role: expected one for each of 316 ids, found 7"),
    "beyond": (np.full(sum(LENGTHS), 5, np.uint8), "token_role: expected roles below 5, found 5"),
    "type": (np.zeros(sum(LENGTHS), np.int64), "token_role: expected one axis of uint8"),
}


@pytest.mark.parametrize("what", WRONG)
def test_roles_of_another_shape_are_refused(what: str, model: Path, tmp_path: Path) -> None:
    roles, words = WRONG[what]
    path = chats(tmp_path, "part", 0, roles=roles)
    refuse(job_of(model, [path], tmp_path), CORPUS_ERROR, f"{path}: {words}", ranks=2)


def test_chats_beside_texts_are_refused(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    first = chats(tmp_path, "part0", 0)
    other = write_token_file(tmp_path / "part1.h5", random_corpus(VOCABULARY, LENGTHS, seed=0), {})
    job = job_of(model, [first, other], tmp_path)
    log = refuse(job, CORPUS_ERROR, f"{other}: token_role: ", "expected chats, as in", "found texts")
    compatibility("Corpora", "token files of chats and of texts as one corpus", "refused", said(log))
