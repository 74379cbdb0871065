"""Inside the layers of Vision Transformers: sites, attention, value updates, queries and keys.

Tensors of transformers come from hooks (support/inner_oracle); every query sees every key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from support.attention_reference import attention_references
from support.bounds import assert_near
from support.image_files import random_images, write_image_file
from support.inner_oracle import ImageInnerOracle, InBoth, run_in_both
from support.inner_references import (
    assert_site,
    head_square_references,
    rows_of_site,
    square_reference,
)
from support.measured_errors import record
from support.second_look_reference import check_extrema, check_received
from support.sweeps import Sweep, read_datasets
from support.vision_cases import label_classes
from support.vision_models import MODELS, VisionModel, make_random, save

NAMES = (
    "clip_vision_model-5heads",
    "vit-5heads-pooler",
    "vit_mae-5heads",
    "dinov2-5heads",
    "dinov2_with_registers-7heads-1register-swiglu-unbiased-9x7of4x4",
    "siglip_vision_model-5heads-head",
    "deit-5heads-pooler",
    "dinov3_vit-7heads-gated-1register-8x10of7x7",
    "dinov3_vit-5heads-4registers",
    "aimv2_vision_model-5heads",
)
IMAGES = 3
SITES = (
    "attention_input", "query", "key", "value", "attention_heads", "attention_output", "mlp_input",
    "up", "mlp_hidden", "mlp_output", "final_norm",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    model: VisionModel
    directory: Path
    corpus: Path
    inners: InBoth

    @property
    def sites(self) -> list[str]:
        is_gated = "gated" in self.model.name or "swiglu" in self.model.name
        is_gated = is_gated or self.model.family == "aimv2_vision_model"
        return [*SITES, "gate"] if is_gated else list(SITES)

    @property
    def sets(self) -> list[str]:
        return ["position:0", "registers"] if self.model.registers else ["position:0"]


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.set_num_threads(1)
    model = next(model for model in MODELS if model.name == request.param)
    folder = tmp_path_factory.mktemp(model.name)
    pixels = random_images(IMAGES, *model.image, seed=6)
    directory = save(make_random(model), model, folder / "model")
    corpus = write_image_file(folder / "images.h5", pixels)
    inners = run_in_both(
        lambda patch, dtype: ImageInnerOracle(directory, patch, dtype), list(pixels)
    )
    return Made(model, directory, corpus, inners)


@pytest.mark.parametrize("m", (1, 3))
def test_inside_the_layers(m: int, made: Made, program: Path, tmp_path: Path) -> None:
    job = {
        "model": {"path": str(made.directory)},
        "corpus": {"path": str(made.corpus)},
        "parallel": {"tensor": m, "threads": 1},
        "statistics": {
            "sites": ["residual", *made.sites],
            "attention": made.sets,
            "attention_received": True,
            "score_extrema": True,
            "value_updates": True,
            "query_key": True,
        },
        "output": {"path": str(tmp_path / "sweep.h5")},
    }
    found = read_datasets(Sweep(program, job, m).run())
    classes = [label_classes(made.model)] * IMAGES
    name = f"{made.model.name}-m{m}"
    for site in made.sites:
        record(name, inside=site, of_allowed=assert_site(found, site, made.inners, classes))

    layers = made.inners.num_layers
    registers = list(range(1, 1 + made.model.registers))
    sets = [lambda _image, _layer: [0], lambda _image, _layer: registers][: len(made.sets)]
    expected = attention_references(made.inners, sets, [None] * layers, is_causal=False)
    written = {path for path in found if path.startswith(("attention/", "value_update/"))}
    assert expected.keys() == written
    parts = [assert_near(path, found[path], reference) for path, reference in expected.items()]
    record(name, inside="attention", of_allowed=max(parts))
    part = check_received(found, made.inners, [None] * layers, is_causal=False)
    record(name, inside="attention_received", of_allowed=part)
    part = check_extrema(found, made.inners, [None] * layers, is_causal=False)
    record(name, inside="score_extrema", of_allowed=part)
    for site in ("query", "key"):
        path = f"qk/rotated_{site}_square_sum"
        parts = [assert_near(path, found[path], head_square_references(made.inners, site))]
        path = f"qk/{site}_square_sum"
        rows = (np.nan_to_num(rows_of_site(of, site)) for of in (made.inners.exact, made.inners.single))
        squares = found[path].reshape(len(found[path]), -1)
        parts.append(assert_near(path, squares, square_reference(*rows, axis=1)))
        record(name, inside="query_key", of_allowed=max(parts))
        differs = not np.allclose(found[path], found[f"qk/rotated_{site}_square_sum"], rtol=1e-3)
        assert differs == (made.model.family == "dinov3_vit")  # which alone rotates
