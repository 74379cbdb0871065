"""Released models, shrunk by the rule of data/prepare_model.py and with random weights, agree with
transformers: of each type one, and under the label slow every one of tests/configs/."""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoConfig, PreTrainedConfig

from support.bounds import assert_losses_round_as_transformers, assert_rounds_as_transformers
from support.config_reference import VISION
from support.family_sweeps import run_jobs
from support.image_files import random_images, write_image_file
from support.random_models import MODELS
from support.random_models.weights import ENCODERS, auto_class
from support.real_configs import REAL_CONFIGS, RealConfig, first_of_types
from support.sweeps import read_datasets, to_toml
from support.token_files import Corpus, random_corpus, write_token_file
from support.transformers_oracle import BothPrecisions, InBothPrecisions, Window, join
from support.vision_oracle import VisionOracle

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))

from preparation.random_checkpoint import Settings, create  # noqa: E402

PROGRAM = Path(os.environ.get("ACTSWEEP_PROGRAM", ROOT / "build" / "actsweep"))
DEVIATION = 0.125  # of the weights: rows of products of order one
LENGTH, DOCUMENTS, IMAGES = 40, 2, 2
KNOWN_AS = {"kimi_k2": "deepseek_v3"}  # by transformers
FREE_ID = 3  # in no shrunk model an image's
FIRST = first_of_types()
CASES = [
    pytest.param(real, id=real.name, marks=() if real in FIRST else pytest.mark.slow)
    for real in REAL_CONFIGS
]


def with_small_tower(config: dict[str, Any]) -> dict[str, Any]:
    """What text does not pass is made small without a rule."""
    config = {**copy.deepcopy(config), "initializer_range": DEVIATION}
    for model in MODELS:
        if model.family == config["model_type"] and "vision_config" in model.config:
            config["vision_config"] = model.config["vision_config"]
    if "audio_config" in config:
        config["audio_config"] = None
    return config


def complete(directory: Path, whole: Path) -> None:
    """The checkpoint with the parts beside it, as transformers makes and stores them."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    known = KNOWN_AS.get(config["model_type"], config["model_type"])
    path.write_text(json.dumps(config | {"model_type": known}))
    config = AutoConfig.from_pretrained(directory)
    if config.model_type in VISION:
        (name,) = config.architectures
        module = getattr(transformers, name).from_pretrained(directory, dtype=torch.float32)
    else:
        module = auto_class(config).from_pretrained(directory, dtype=torch.float32)
    module.save_pretrained(whole)


@dataclass
class Made:
    """A shrunk checkpoint in `folder`/model, its job, and what transformers makes of it."""

    folder: Path
    streams: InBothPrecisions
    windows: list[Window]  # of text with losses


def make(real: RealConfig, folder: Path) -> Made:
    torch.set_num_threads(1)
    (folder / "config.json").write_text(json.dumps(with_small_tower(real.config)))
    settings = Settings(is_shrunk=True, seed=REAL_CONFIGS.index(real))
    create(PROGRAM, folder / "config.json", folder / "made", settings)
    complete(folder / "made", folder / "model")
    is_text = real.model_type not in VISION
    made = (make_text if is_text else make_images)(folder)
    (folder / "job.toml").write_text(to_toml(job_of(folder, is_text, has_loss=bool(made.windows))))
    return made


def corpus_for(whole: PreTrainedConfig) -> Corpus:
    """Random ids, none of which stands for an image."""
    corpus = random_corpus(whole.get_text_config().vocab_size, [LENGTH] * DOCUMENTS)
    images = [getattr(whole, key, None) or 0 for key in ("image_token_id", "image_token_index")]
    documents = [np.where(np.isin(ids, images), FREE_ID, ids) for ids in corpus.documents]
    return replace(corpus, documents=[ids.astype("<u4") for ids in documents])


def make_text(folder: Path) -> Made:
    whole = AutoConfig.from_pretrained(folder / "model")
    config, corpus = whole.get_text_config(), corpus_for(whole)
    prompts = {f"{number}": ids for number, ids in enumerate(corpus.documents)}
    write_token_file(folder / "corpus.h5", corpus, prompts)
    both = BothPrecisions(folder / "model")
    if config.model_type in ENCODERS:  # their heads predict no next token
        return Made(folder, both.streams(corpus.documents), [])
    windows = [both.run_with_losses(ids) for ids in corpus.documents]
    exact = [window.exact.stream for window in windows]
    return Made(folder, InBothPrecisions(exact, [w.where_sure(w.single.stream) for w in windows]), windows)


def make_images(folder: Path) -> Made:
    config = AutoConfig.from_pretrained(folder / "model")
    half = getattr(config, "vision_config", config)
    pixels = random_images(IMAGES, *map(int, np.broadcast_to(half.image_size, 2)))
    write_image_file(folder / "corpus.h5", pixels)
    exact, single = (
        [oracle.residual(image) for image in pixels]
        for oracle in (VisionOracle(folder / "model", torch.float64), VisionOracle(folder / "model"))
    )
    return Made(folder, InBothPrecisions(exact, single), [])


def job_of(folder: Path, is_text: bool, has_loss: bool) -> dict[str, Any]:
    windows = {"sequence_length": LENGTH, "windows": "per_document"} if is_text else {}
    return {
        "model": {"path": str(folder / "model")},
        "corpus": {"path": str(folder / "corpus.h5"), **windows},
        "parallel": {"threads": 1},
        "statistics": {"loss": has_loss},
        "capture": {"prompts": [str(n) for n in range(DOCUMENTS if is_text else IMAGES)]},
        "output": {"path": str(folder / "sweep.h5")},
    }


class Sweeps:
    """Of the released models that pytest has selected; the first that is asked for makes all."""

    def __init__(self, folder: Path, selected: list[RealConfig]) -> None:
        self._folder, self._selected = folder, selected
        self._made: dict[str, Made | Exception] = {}
        self._said: dict[Path, str] = {}

    def _make_all(self) -> Iterator[Path]:
        for real in self._selected:
            folder = self._folder / real.path.stem
            folder.mkdir()
            try:
                self._made[real.name] = make(real, folder)
                yield folder / "job.toml"
            except Exception as error:  # noqa: BLE001 (its own test raises it)
                self._made[real.name] = error

    def of(self, real: RealConfig) -> tuple[Made, dict[str, np.ndarray]]:
        if not self._made:
            self._said = run_jobs(list(self._make_all()), 1, self._folder / "sweeps.log")
        made = self._made[real.name]
        if isinstance(made, Exception):
            raise made
        said = self._said[made.folder / "job.toml"]
        assert not said, said
        return made, read_datasets(made.folder / "sweep.h5")


@pytest.fixture(scope="module")
def sweeps(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sweeps:
    items = [item for item in request.session.items if item.path == request.path]
    selected = [item.callspec.params["real"] for item in items if hasattr(item, "callspec")]
    return Sweeps(tmp_path_factory.mktemp("real"), selected)


@pytest.mark.parametrize("real", CASES)
def test_shrunk_model_agrees_with_transformers(real: RealConfig, sweeps: Sweeps) -> None:
    made, datasets = sweeps.of(real)
    found = [datasets[f"capture/{n}/residual"] for n in range(len(made.streams.exact))]
    for n, window in enumerate(made.windows):
        found[n] = window.where_sure(found[n]).astype(found[n].dtype)
    assert_rounds_as_transformers(real.name, found, made.streams.single, made.streams.exact)
    if made.windows and all(window.is_sure.all() for window in made.windows):
        losses = join(window.losses for window in made.windows)
        assert_losses_round_as_transformers(datasets["loss/token_nll"], losses)
