"""The roles of a corpus of chats stand beside the tokens of a sweep file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from running import make_job, refuse, run_alone, run_well, said, write_job

from support.compatibility import Compatibility
from support.token_files import Corpus, Cut, random_corpus, write_token_file

JOB_ERROR, CORPUS_ERROR = 2, 3
VOCABULARY = 97
LENGTHS = (70, 0, 31, 5, 150, 16, 44)
IMAGES = {
    "model_type": "vit", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 96, "image_size": 32, "patch_size": 8, "num_channels": 3,
    "layer_norm_eps": 1e-12, "hidden_act": "gelu", "qkv_bias": True,
}  # fmt: skip
CUTS = [
    Cut(16),
    Cut(16, windows="per_document"),
    Cut(16, bos="each_window"),
    Cut(16, windows="per_document", bos="each_window"),
]


def chats(folder: Path, name: str, corpus: Corpus) -> Path:
    return write_token_file(folder / f"{name}.h5", corpus, {"short": np.array([3, 9, 27], "<u4")})


def random_chats(seed: int = 0) -> Corpus:
    return random_corpus(VOCABULARY, LENGTHS, seed=seed, are_chats=True)


def job_of(model: Path, paths: list[Path], folder: Path, **keys: Any) -> Path:
    job = make_job(model, folder / "-", folder / "sweep.h5", corpus=keys)
    job["corpus"]["path"] = [str(path) for path in paths]
    return write_job(folder / "job.toml", job)


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_each_token_has_its_role(cut: Cut, files: int, model: Path, tmp_path: Path) -> None:
    parts = [random_chats(number) for number in range(files)]
    parts = [replace(part, classes=parts[0].classes) for part in parts]
    paths = [chats(tmp_path, f"part{number}", part) for number, part in enumerate(parts)]
    documents = [document for part in parts for document in part.documents]
    roles = [role for part in parts for role in part.roles]
    corpus = Corpus(VOCABULARY, documents, parts[0].classes, roles)
    run_well(job_of(model, paths, tmp_path, **cut.job_keys()), 2)
    expected = [window.roles for window in corpus.windows(cut)]
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert file["tokens/role"].dtype == np.uint8
        assert file["tokens/role"][()].tolist() == np.concatenate(expected).tolist()


def test_a_corpus_of_texts_has_no_roles(model: Path, corpus: Path, tmp_path: Path) -> None:
    run_well(job_of(model, [corpus], tmp_path), 2)
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert "tokens/role" not in file


def test_roles_of_a_corpus_of_texts_are_refused(
    model: Path, corpus: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    job = make_job(model, corpus, tmp_path / "sweep.h5", statistics={"classes": "role"})
    words = '[statistics] classes = "role": expected chats'
    log = refuse(write_job(tmp_path / "job.toml", job), CORPUS_ERROR, f"{corpus}: {words}")
    compatibility("Corpora", "texts, with `classes = \"role\"`", "refused", said(log))


def test_roles_of_images_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(IMAGES))
    result = run_alone("plan", "--config", config, "--ranks", 1, "--set", "statistics.classes=role")
    assert result.returncode == JOB_ERROR and "reads images, which have no roles" in result.stderr


WRONG: dict[str, tuple[np.ndarray, str]] = {
    "fewer": (np.zeros(7, np.uint8), "token_role: expected one for each of 316 ids, found 7"),
    "beyond": (np.full(sum(LENGTHS), 5, np.uint8), "token_role: expected roles below 5, found 5"),
    "type": (np.zeros(sum(LENGTHS), np.int64), "token_role: expected one axis of uint8"),
}


@pytest.mark.parametrize("what", WRONG)
def test_roles_of_another_shape_are_refused(what: str, model: Path, tmp_path: Path) -> None:
    roles, words = WRONG[what]
    path = chats(tmp_path, "part", replace(random_chats(), roles=[roles]))
    refuse(job_of(model, [path], tmp_path), CORPUS_ERROR, f"{path}: {words}", ranks=2)


def test_chats_beside_texts_are_refused(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    first = chats(tmp_path, "part0", random_chats())
    other = write_token_file(tmp_path / "part1.h5", random_corpus(VOCABULARY, LENGTHS, seed=0), {})
    job = job_of(model, [first, other], tmp_path)
    log = refuse(job, CORPUS_ERROR, f"{other}: token_role: ", "expected chats, as in", "found texts")
    compatibility("Corpora", "token files of chats and of texts as one corpus", "refused", said(log))
