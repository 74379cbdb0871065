"""data/prepare_model.py random, for every family: what it writes is what transformers loads and the
program sweeps, and the massive activation that it plants is found where it was planted. One
configuration of each family, and under the label slow all of them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers import AutoConfig, PreTrainedModel

from support import vision_models
from support.config_reference import MASKED_HEADS, SILENT, VISION
from support.config_variants import base_config
from support.family_cases import AnyModel
from support.family_sweeps import run_jobs
from support.image_files import random_images, write_image_file
from support.random_models import ENCODERS, MODELS, RandomModel
from support.random_models.weights import adds_one, auto_class, owned_parameters
from support.sweeps import read_datasets, to_toml
from support.token_files import random_corpus, write_token_file
from support.vision_models import VisionModel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "data"))

from preparation.random_checkpoint import Settings, create  # noqa: E402

PROGRAM = Path(os.environ.get("ACTSWEEP_PROGRAM", ROOT / "build" / "actsweep"))
SIGLIP = base_config("siglip")
WHOLE_SIGLIP = VisionModel("siglip-whole", "siglip", "SiglipModel", SIGLIP, (36, 36))
ALL = (*MODELS, *ENCODERS, *vision_models.MODELS, WHOLE_SIGLIP)
FIRST = {model.family: model.name for model in reversed(ALL)}
CASES = [
    pytest.param(
        model, id=model.name, marks=() if FIRST[model.family] == model.name else pytest.mark.slow
    )
    for model in ALL
]
OTHER_NAMES = {"kimi_k2", "kimi_vl", "llada", "Dream"}  # others' mathematics, under other names
CHANNEL, TOKEN, MAGNITUDE = 9, 3, 3000.0
PROJECTIONS = {"text_projection", "visual_projection"}
DTYPES = ("float32", "bfloat16", "float16")
# Modules of models of several parts that no text passes: a checkpoint of the language model lacks them.
BESIDE = re.compile(
    r"(model\.)?((vision\w*|visual|connector|multi_modal_projector|mm_projector|embed_vision)\.|image_newline)"
)


def settings_of(model: AnyModel) -> Settings:
    """Each dtype for a third of the models; in files of two kinds."""
    number = ALL.index(model)
    return Settings(
        dtype=DTYPES[number % 3],
        shard_bytes=200_000 if number % 2 else 5_000_000_000,
        massive_channel=CHANNEL,
        massive_token=TOKEN if isinstance(model, RandomModel) else None,
        massive_magnitude=MAGNITUDE,
    )


def write_corpus(model: AnyModel, path: Path) -> Path:
    """Texts that begin with the token, which is nowhere else; or images. Of a table of positions the
    first row is that of the first patch in images of its own size alone."""
    if not isinstance(model, RandomModel):
        has_table_alone = "siglip" in model.family
        size = np.broadcast_to(model.vision["image_size"], 2) if has_table_alone else model.image
        return write_image_file(path, random_images(3, *map(int, size)))
    corpus = random_corpus(model.vocabulary, [24] * 4)
    for ids in corpus.documents:
        ids[ids == TOKEN] = TOKEN + 1
        ids[0] = TOKEN
    return write_token_file(path, corpus, {})


def write_job(model: AnyModel, folder: Path) -> Path:
    windows = {"sequence_length": 24, "windows": "per_document"}
    path = folder / "job.toml"
    job = {
        "model": {"path": str(folder / "model")},
        "corpus": {
            "path": str(write_corpus(model, folder / "corpus.h5")),
            **(windows if isinstance(model, RandomModel) else {}),
        },
        "parallel": {"threads": 1},
        "output": {"path": str(folder / "sweep.h5")},
    }
    path.write_text(to_toml(job))
    return path


class Checkpoints:
    """The random checkpoints of the models that are asked for, and their sweeps, each made once."""

    def __init__(self, folder: Path, models: list[AnyModel]) -> None:
        self._folder, self._models = folder, models
        self._said: dict[Path, str] = {}
        self._errors: dict[str, Exception] = {}

    def folder(self, model: AnyModel) -> Path:
        """Of the checkpoint and its job."""
        folder = self._folder / model.name
        if not folder.exists():
            folder.mkdir()
            config = {**model.config, "model_type": model.family}
            (folder / "config.json").write_text(json.dumps(config))
            try:
                create(PROGRAM, folder / "config.json", folder / "model", settings_of(model))
                write_job(model, folder)
            except Exception as error:  # noqa: BLE001 (it is raised below)
                self._errors[model.name] = error
        if model.name in self._errors:
            raise self._errors[model.name]
        return folder

    def sweep(self, model: AnyModel) -> dict[str, np.ndarray]:
        """The first call sweeps all selected models in one world."""
        if not self._said:
            jobs = [self.folder(each) / "job.toml" for each in self._models]
            self._said = run_jobs(jobs, 1, self._folder / "sweeps.log")
        folder = self.folder(model)
        assert not self._said[folder / "job.toml"], self._said[folder / "job.toml"]
        return read_datasets(folder / "sweep.h5")


@pytest.fixture(scope="module")
def checkpoints(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoints:
    items = [item for item in request.session.items if item.path == request.path]
    names = {item.callspec.params["model"].name for item in items if hasattr(item, "callspec")}
    models = [model for model in ALL if model.name in names]
    return Checkpoints(tmp_path_factory.mktemp("random"), models)


def load(model: AnyModel, directory: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    options: dict[str, Any] = {"output_loading_info": True, "dtype": torch.float32}
    if model.family not in VISION:
        loads = auto_class(AutoConfig.from_pretrained(directory))
    else:
        loads = getattr(transformers, VISION[model.family].module)
        if VISION[model.family].has_pooler_option:
            options["add_pooling_layer"] = False
    return loads.from_pretrained(directory, **options)


def may_be_missing(model: AnyModel) -> Callable[[str], bool]:
    """Of a tensor beside what is swept."""
    if model.family in VISION:
        return lambda name: bool((SILENT | PROJECTIONS) & set(name.split(".")))
    if model in ENCODERS:
        return lambda name: bool(MASKED_HEADS & set(name.split(".")[:1]))
    crossed = {f".layers.{number}." for number in model.text.get("cross_attention_layers", ())}
    return lambda name: bool(BESIDE.match(name)) or any(layer in name for layer in crossed)


def is_normed_after_addition(model: AnyModel) -> bool:
    is_old_encoder = model.family in ("bert", "roberta", "xlm-roberta")
    return is_old_encoder or model.config.get("do_layer_norm_before") is False


def expected_mean(owner: nn.Module, name: str) -> float | None:
    """Of a factor, that which changes nothing; None of other weights."""
    kind = type(owner).__name__
    if "LayerScale" in kind:
        return 1.0
    if "Norm" not in kind or name == "bias":
        return None
    return 0.0 if adds_one(owner) else 1.0


@pytest.mark.parametrize("model", CASES)
def test_transformers_loads_it_whole(model: AnyModel, checkpoints: Checkpoints) -> None:
    module, information = load(model, checkpoints.folder(model) / "model")
    assert not information["unexpected_keys"] and not information["mismatched_keys"]
    missing = {name for name in information["missing_keys"] if not may_be_missing(model)(name)}
    assert not missing, missing
    names = {id(weight): name for name, weight in module.named_parameters()}
    for owner, name, weight in owned_parameters(module):
        path = names[id(weight)]
        if path in information["missing_keys"]:
            continue
        mean = expected_mean(owner, name)
        others = weight.detach().float().flatten().sort().values[1:-1]  # without what is planted
        if mean is not None:
            assert (others == mean).all(), path
        elif weight.numel() > 2000:
            assert 0.01 < others.std() < 0.06 and abs(others.mean()) < 0.01, path


@pytest.mark.parametrize("model", CASES)
def test_massive_activation_is_found_where_it_was_planted(
    model: AnyModel, checkpoints: Checkpoints
) -> None:
    """In every sequence, at its first token, in one channel, in every layer; and nowhere else."""
    found = checkpoints.sweep(model)
    sequences, layers = int(found["massive/sequence"].max()) + 1, len(found["massive/events_left_out"])
    assert sequences == (4 if isinstance(model, RandomModel) else 3)
    if is_normed_after_addition(model):  # the first norm ends it
        layers = 1
    events = np.stack([found[f"massive/{name}"] for name in ("sequence", "layer", "position", "channel")])
    expected = {(s, layer, 0, CHANNEL) for s in range(sequences) for layer in range(layers)}
    mine = set(map(tuple, events.T.tolist()))
    if model.family == "modernbert":  # whose first attention reads it unnormed, and spreads it
        assert mine <= expected
        mine, expected = ({event for event in of if event[1] == 0} for of in (mine, expected))
    assert mine == expected
    np.testing.assert_allclose(found["massive/value"], MAGNITUDE, rtol=0.05)


def test_every_family_is_here() -> None:
    """The types that the program lists, but for those that only a model of several parts holds."""
    tables = (ROOT / "docs/models.md").read_text().partition("## Families")[2]
    listed = set(re.findall(r"^\| `([\w-]+)` \|", tables, re.M)) - {"model_type"}
    assert listed - OTHER_NAMES == {model.family for model in ALL}
