"""Models of several parts: text passes the language model, images the tower that [model] vision = true
asks for. What neither can read is refused, and the message says what would be read.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from running import make_corpus, make_job, refuse, run_alone, run_well, said, write_job

from support import vision_models
from support.compatibility import Compatibility
from support.image_files import random_images, write_image_file
from support.random_models import MODELS, make_random, save
from support.transformers_oracle import Oracle
from support.vision_oracle import VisionOracle

KIND = "Checkpoints"
CORPUS_ERROR, MODEL_ERROR = 3, 4
LLAVA = next(model for model in vision_models.TOWERS if model.name == "llava-clip-5heads-published")
TOWER = "model.vision=true"


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    return vision_models.save(vision_models.make_random(LLAVA), LLAVA, folder / "llava")


def image_job(model: Path, folder: Path) -> Path:
    images = write_image_file(folder / "images.h5", random_images(3, *LLAVA.image))
    job = make_job(model, images, folder / "sweep.h5")
    job["corpus"] = {"path": str(images)}
    job["capture"] = {"prompts": ["0"]}
    job["statistics"] = {"loss": False}
    return write_job(folder / "job.toml", job)


def text_job(model: Path, folder: Path, vocabulary: int) -> Path:
    corpus = make_corpus(folder / "corpus.h5", 64, vocabulary=vocabulary)
    return write_job(folder / "job.toml", make_job(model, corpus, folder / "sweep.h5"))


def assert_stream(sweep: Path, prompt: str, expected: np.ndarray) -> None:
    with h5py.File(sweep) as file:
        found = file[f"capture/{prompt}/residual"][()]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_tower_is_swept_by_images_and_the_language_model_by_text(
    llava: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """One checkpoint, two sweeps."""
    log = run_well(image_job(llava, tmp_path), 2, TOWER)
    assert "beside the model left out" in log and "language_model.model.layers.{}" in log
    image = random_images(3, *LLAVA.image)[0]
    assert_stream(tmp_path / "sweep.h5", "0", VisionOracle(llava).residual(image))
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert file.attrs["num_layers"] == 3 and file.attrs["hidden_size"] == 65
    what = "a model of several parts: its tower by images, asked for by `[model] vision = true`"
    compatibility(KIND, what, "read")
    folder = tmp_path / "text"
    folder.mkdir()
    run_well(text_job(llava, folder, 131), 2)
    with h5py.File(folder / "sweep.h5") as file:
        ids = file["capture/short/id"][()]
    assert_stream(folder / "sweep.h5", "short", Oracle(llava).residual(ids))


def test_images_for_a_language_model_are_refused_with_the_key_that_reads_them(
    llava: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    log = refuse(image_job(llava, tmp_path), CORPUS_ERROR, "[model] vision = true, which reads images")
    what = "images for a model of several parts without `[model] vision = true`"
    compatibility(KIND, what, "refused", said(log))


def test_text_for_a_tower_is_refused(
    llava: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    job = text_job(llava, tmp_path, 131)
    log = refuse(job, CORPUS_ERROR, "reads images", sets=[TOWER, "statistics.loss=false"])
    what = "text for the tower that `[model] vision = true` asks for"
    compatibility(KIND, what, "refused", said(log))


def test_image_tokens_in_text_are_refused(
    llava: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    path = llava / "config.json"
    written = path.read_text()
    job = text_job(llava, tmp_path, 131)
    with h5py.File(tmp_path / "corpus.h5") as file:
        ids, prompt = file["ids"][()], file["prompts/short"][()]
    for number, words in ((int(ids[7]), "ids: expected text alone"), (int(prompt[2]), "stands for an image")):
        path.write_text(json.dumps({**json.loads(written), "image_token_index": number}))
        log = refuse(job, CORPUS_ERROR, words, f"found the id {number}")
    path.write_text(json.dumps({**json.loads(written), "image_token_index": int(ids[0])}))
    log = refuse(job, CORPUS_ERROR, "at token 0")
    path.write_text(written)
    compatibility(KIND, "text with a token that stands for an image", "refused", said(log))


def test_a_tower_of_a_language_model_alone_is_refused(
    model: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    log = refuse(text_job(model, tmp_path, 97), MODEL_ERROR, "[model] vision = true", sets=[TOWER])
    compatibility(KIND, "`[model] vision = true` for a model without a tower", "refused", said(log))


@pytest.mark.parametrize("family", ["mistral3", "qwen2_5_vl", "mllama", "smolvlm"])
def test_tower_of_unknown_mathematics_is_refused_by_its_type(
    family: str, tmp_path: Path, compatibility: Compatibility
) -> None:
    random_model = next(model for model in MODELS if model.family == family)
    config = {**random_model.config, "model_type": family}
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = run_alone("plan", "--ranks", 1, "--config", tmp_path / "config.json", "--set", TOWER)
    message = said(result.stderr + result.stdout)
    assert result.returncode == MODEL_ERROR and 'vision_config.model_type": expected a model' in message
    compatibility(KIND, f"the tower of a `{family}`", "refused", message)


def test_plan_of_a_config_counts_the_tower_alone(llava: Path) -> None:
    config = llava / "config.json"
    tower = run_alone("plan", "--ranks", 1, "--config", config, "--set", TOWER)
    text = run_alone("plan", "--ranks", 1, "--config", config)
    assert tower.returncode == text.returncode == 0, tower.stderr
    assert "3 layers" in tower.stdout and "2 layers" in text.stdout, tower.stdout


def test_layers_that_only_images_pass_are_left_out_and_said(
    tmp_path: Path, compatibility: Compatibility
) -> None:
    random_model = next(model for model in MODELS if model.family == "mllama")
    directory = save(make_random(random_model), random_model, tmp_path / "mllama")
    log = run_well(text_job(directory, tmp_path, random_model.vocabulary), 2)
    assert "layers left out that only images pass: 1, 3, counted from 0" in log
    with h5py.File(tmp_path / "sweep.h5") as file:
        assert file.attrs["num_layers"] == 3
        ids = file["capture/short/id"][()]
    assert_stream(tmp_path / "sweep.h5", "short", Oracle(directory).residual(ids))
    compatibility(KIND, "Llama 3.2 Vision by text, without its layers that only images pass", "read")


def test_kimi_vl_is_read_as_kimi_k25(tmp_path: Path, compatibility: Compatibility) -> None:
    """transformers has no class of its own for it."""
    random_model = next(model for model in MODELS if model.family == "kimi_k25")
    directory = save(make_random(random_model), random_model, tmp_path / "kimi")
    path = directory / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "model_type": "kimi_vl"}))
    run_well(text_job(directory, tmp_path, random_model.vocabulary), 2)
    path.write_text(json.dumps(config))
    with h5py.File(tmp_path / "sweep.h5") as file:
        ids = file["capture/short/id"][()]
    torch.set_num_threads(1)
    assert_stream(tmp_path / "sweep.h5", "short", Oracle(directory).residual(ids))
    compatibility(KIND, "`kimi_vl`, published with code of its own, by text", "read")
