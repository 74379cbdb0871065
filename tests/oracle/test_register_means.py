"""Register means, and Fix-Reg-Mean: registers overwritten by their means at every block's input.

Against transformers on a random DINOv2 with registers and a random DINOv3, at m = 1, 2, 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from support.bounds import Reference, assert_near, assert_rounds_as_transformers, channel_scale
from support.image_files import random_images, write_image_file
from support.interventions import REGISTER, Labels, Means, intervened
from support.sweeps import Sweep, environment, read_datasets, to_toml
from support.vision_models import MODELS, VisionModel, make_random, save
from support.vision_oracle import VisionOracle
from support.watching import run

NAMES = ("dinov2_with_registers-5heads-4registers", "dinov3_vit-5heads-4registers")
IMAGES, LAYERS, REGISTERS = 7, 3, 4
FIX = {"layer": "all", "channels": "all", "tokens": "registers", "action": "mean"}


@dataclass(frozen=True)
class Inputs:
    folder: Path
    described: VisionModel
    model: Path
    images: Path
    pixels: np.ndarray
    oracles: tuple[VisionOracle, VisionOracle]  # in float64, in float32

    def job(self, m: int, output: Path, tables: list[dict[str, object]]) -> dict[str, Any]:
        return {
            "model": {"path": str(self.model)},
            "corpus": {"path": str(self.images)},
            "parallel": {"tensor": m, "threads": 1, "microbatch_tokens": 160},
            "capture": {"prompts": [str(i) for i in range(IMAGES)]},
            "output": {"path": str(output), "segment_tokens": 160},
            "intervention": tables,
        }

    def sweep(self, program: Path, m: int, tables: list[dict[str, object]]) -> Path:
        output = self.folder / f"{'fixed' if tables else 'unchanged'}-{m}.h5"
        if not output.exists():
            Sweep(program, self.job(m, output, tables), m).run()
        return output

    def fixed(self, program: Path, m: int) -> Path:
        return self.sweep(program, m, [FIX | {"from": str(self.sweep(program, m, []))}])

    @property
    def labels(self) -> Labels:
        classes = np.full(self.described.tokens, 2)
        classes[:1], classes[1 : 1 + REGISTERS] = 0, REGISTER
        return Labels(classes)


@pytest.fixture(scope="module", params=NAMES)
def inputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("registers")
    described = next(model for model in MODELS if model.name == request.param)
    pixels = random_images(IMAGES, *described.image, seed=3)
    model = save(make_random(described), described, folder / "model")
    images = write_image_file(folder / "images.h5", pixels)
    oracles = VisionOracle(model, torch.float64), VisionOracle(model)
    return Inputs(folder, described, model, images, pixels, oracles)


def captured(datasets: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [datasets[f"capture/{i}/residual"] for i in range(IMAGES)]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_moments_are_those_of_transformers(m: int, inputs: Inputs, program: Path) -> None:
    found = read_datasets(inputs.sweep(program, m, []))
    of_registers, rounded = (  # [images, L + 1, R, C]
        np.stack([oracle.residual(image) for image in inputs.pixels])[:, :, 1 : 1 + REGISTERS]
        for oracle in inputs.oracles
    )
    assert (found["registers/count"] == IMAGES).all() and len(found["registers/count"]) == LAYERS + 1
    scale, magnitude_of = channel_scale(list(of_registers)), np.abs(of_registers)
    for name, power in (("sum", 1), ("sum_square", 2)):
        error = power * magnitude_of ** (power - 1) * np.abs(rounded - of_registers)
        terms = (of_registers**power, error, magnitude_of**power)
        reference = Reference(*(term.sum(axis=0) for term in terms), scale**power)
        assert_near(f"registers/{name}", found[f"registers/{name}"], reference)
        # Added up, they are the class of registers, whose statistic has tests of its own.
        together = found[f"registers/{name}"].sum(axis=1)
        magnitude = np.sqrt(REGISTERS * IMAGES * found["registers/sum_square"].sum(axis=1))
        bound = 1e-12 * (magnitude if power == 1 else together)
        assert (np.abs(together - found[f"residual/class_{name}"][:, REGISTER]) <= bound).all()
    spread = of_registers.std(axis=0)
    assert spread[1:].min() > 1e-4  # images differ, so that a mean is no copy


@pytest.mark.parametrize("m", [1, 2, 3])
def test_fixed_registers_agree_with_hooks(m: int, inputs: Inputs, program: Path) -> None:
    unchanged = read_datasets(inputs.sweep(program, m, []))
    path = inputs.fixed(program, m)
    found, means = read_datasets(path), Means.of(unchanged)
    of_both = []
    for oracle in inputs.oracles:
        with intervened(oracle.blocks, [FIX | {"from": ""}], inputs.labels, means):
            of_both.append([oracle.residual(image) for image in inputs.pixels])
    streams, single = of_both
    assert_rounds_as_transformers(f"m = {m}", captured(found), single, streams)
    changed = LAYERS * IMAGES * REGISTERS
    assert found["interventions/matched_tokens"].tolist() == [changed]
    assert found["interventions/changed_activations"].tolist() == [changed * streams[0].shape[2]]
    for mine, before in zip(captured(found), captured(unchanged), strict=True):
        registers = mine[:LAYERS, 1 : 1 + REGISTERS]
        assert registers.tobytes() == means.by_register[:LAYERS].tobytes()
        assert (mine[LAYERS] != before[LAYERS]).any(axis=1).all()  # by attention, every token
    with h5py.File(path) as file:
        assert 'tokens = "registers"' in file.attrs["intervention"]


def test_selectors_of_text_are_refused(inputs: Inputs, program: Path, tmp_path: Path) -> None:
    """An image's classes are others."""
    table = FIX | {"tokens": "class:delimiter:first", "action": "zero"}
    job = tmp_path / "job.toml"
    job.write_text(to_toml(inputs.job(1, tmp_path / "sweep.h5", [table])))
    command = [str(program), "plan", str(job), "--ranks", "1"]
    result = run(command, env=environment())
    assert result.returncode == 2
    assert "expected a corpus of text, found one of images" in result.stdout + result.stderr
