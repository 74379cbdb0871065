"""Whatever of a corpus file can change a number or a text of the sweep file is part of its identity:
another run with the same output is refused, and the message names what differs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from running import Run, dying_at, make_job, refuse, run_well, write_job

from support.compatibility import Compatibility
from support.image_files import random_images, write_image_file
from support.vision_models import MODELS, make_random, save

OUTPUT_ERROR = 6
SQUARE = next(model for model in MODELS if model.name == "dinov2-5heads")  # patches of 4 × 4


@pytest.fixture(scope="module")
def swept(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep, its corpus and its job; each test has a copy of it."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copy(corpus, folder / "corpus.h5")
    keys = {"parallel": {"tensor": 1}}
    job = make_job(model, folder / "corpus.h5", folder / "sweep.h5", **keys)
    run_well(write_job(folder / "job.toml", job), 1)
    return folder


@pytest.fixture
def copy(swept: Path, tmp_path: Path) -> Path:
    for name in ("corpus.h5", "sweep.h5", "job.toml"):
        shutil.copy(swept / name, tmp_path / name)
    text = (tmp_path / "job.toml").read_text().replace(str(swept), str(tmp_path))
    (tmp_path / "job.toml").write_text(text)
    return tmp_path


def other_prompt(file: h5py.File) -> str:
    file["prompts/short"][2] = (file["prompts/short"][2] + 1) % 97
    return "capture.prompts.short: "


def longer_prompt(file: h5py.File) -> str:
    ids = file["prompts/short"][()]
    del file["prompts/short"]
    file["prompts/short"] = np.concatenate([ids, ids[:1]])
    return "capture.prompts.short: "


def other_class(file: h5py.File) -> str:
    file["token_class"][5] = file["token_class"][5] % 3 + 1
    return "corpus.token_classes: "


def other_spelling(file: h5py.File) -> str:
    file["vocabulary/bytes"][3] = ord("X")
    return "corpus.vocabulary: "


def other_cut_of_spellings(file: h5py.File) -> str:
    file["vocabulary/offset"][1] += 1
    return "corpus.vocabulary: "


def other_bos(file: h5py.File) -> str:
    file.attrs["bos_id"] = np.int64(3)
    return "corpus.bos_id: 3 here, 0"


def other_eos(file: h5py.File) -> str:
    file.attrs["eos_id"] = np.int64(4)
    return "corpus.eos_id: 4 here, -1"


def other_policy(file: h5py.File) -> str:
    file.attrs["special_tokens"] = "bos"
    return 'corpus.special_tokens: "bos" here, "none"'


def other_tokenizer(file: h5py.File) -> str:
    file.attrs["tokenizer_fingerprint"] = "another"
    return 'tokenizer.fingerprint: "another" here, "random"'


def other_text(file: h5py.File) -> str:
    file.attrs["corpus_fingerprint"] = "another"
    return 'corpus.fingerprint: "another" here, '


CHANGES: list[Callable[[h5py.File], str]] = [
    other_prompt,
    longer_prompt,
    other_class,
    other_spelling,
    other_cut_of_spellings,
    other_bos,
    other_eos,
    other_policy,
    other_tokenizer,
    other_text,
]


@pytest.mark.parametrize("change", CHANGES)
def test_another_corpus_file_is_another_sweep(
    change: Callable[[h5py.File], str], copy: Path
) -> None:
    with h5py.File(copy / "corpus.h5", "r+") as file:
        difference = change(file)
    before = (copy / "sweep.h5").read_bytes()
    log = refuse(copy / "job.toml", OUTPUT_ERROR, "made by a different job", difference, ranks=1)
    said = [line for line in log.splitlines() if line.startswith("  ") and " here, " in line]
    assert len(said) == 1, log  # nothing else differs
    assert (copy / "sweep.h5").read_bytes() == before


def test_prompts_that_are_not_captured_do_not_count(copy: Path) -> None:
    with h5py.File(copy / "corpus.h5", "r+") as file:
        file["prompts/longer"][2] = (file["prompts/longer"][2] + 1) % 97
        file.attrs["created"] = "another day"
    assert "is complete, nothing to do" in run_well(copy / "job.toml", 1)


def test_segments_of_another_prompt_are_refused(
    copy: Path, compatibility: Compatibility
) -> None:
    """A run that was killed goes on with the corpus file that it began with alone."""
    job = copy / "job.toml"
    (copy / "sweep.h5").unlink()
    run = Run(job, 1, under=dying_at("segment 2: written"))
    assert run.finish() == 137, run.log()
    with h5py.File(copy / "corpus.h5", "r+") as file:
        difference = other_prompt(file)
    log = refuse(job, OUTPUT_ERROR, "made by a different job", difference, ranks=1)
    (line,) = [line for line in log.splitlines() if difference in line]
    ids = line.split(": ")[1].split(" here, ")
    assert len(ids) == 2 and ids[0] != ids[1]
    compatibility(
        "Corpora",
        "made again with another text of a captured prompt, the same output",
        "refused",
        "segment-000000.h5: made by a different job: capture.prompts.short: … here, …",
    )


def test_images_of_another_shape_are_another_sweep(tmp_path: Path) -> None:
    """The same bytes of pixels, as two images of 24 × 40 and of 40 × 24."""
    checkpoint = save(make_random(SQUARE), SQUARE, tmp_path / "model")
    pixels = random_images(2, 24, 40)
    corpus, output = tmp_path / "images.h5", tmp_path / "sweep.h5"
    write_image_file(corpus, pixels)
    with h5py.File(corpus) as file:
        fingerprint = file.attrs["corpus_fingerprint"]
    text = f"""[model]\npath = "{checkpoint}"\n[corpus]\npath = "{corpus}"
[parallel]\nthreads = 1\n[output]\npath = "{output}"\n"""
    job = tmp_path / "job.toml"
    job.write_text(text)
    run_well(job, 1)
    corpus.unlink()
    write_image_file(corpus, pixels.reshape(2, 3, 40, 24))
    with h5py.File(corpus, "r+") as file:
        file.attrs["corpus_fingerprint"] = fingerprint
    refuse(job, OUTPUT_ERROR, "made by a different job", "corpus.vocabulary: ", ranks=1)
