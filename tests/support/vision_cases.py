"""The cases of the Vision Transformers, in the way of family_cases.py: a checkpoint, an image file,
and what transformers makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .family_cases import Case
from .image_files import random_images, write_image_file
from .vision_models import MODELS, TOWERS, VisionModel, make_random, save
from .vision_oracle import VisionOracle

IMAGES = 7
HALF_IMAGES = 20  # for quantiles over 1,600 tokens
PROMPTS = ("0", "3", "6")
CLASS_TOKEN, REGISTER, PATCH = 0, 1, 2
NO_PATCH = np.uint32(4294967295)


@dataclass(frozen=True)
class ExpectedImages:
    """A checkpoint, an image file, and what transformers makes of them."""

    model: VisionModel
    directory: Path
    corpus: Path
    pixels: np.ndarray  # float32 [images, 3, height, width]
    exact: list[np.ndarray]  # float64 [layers + 1, T, C] of each image
    single: list[np.ndarray]  # what transformers' own float32 makes of it

    def job(self, case: Case, output: Path) -> dict[str, dict[str, Any]]:
        """The job file of one of its cases."""
        return {
            "model": {**case.model_keys(self.directory), "vision": self.model.is_tower},
            "corpus": {"path": str(self.corpus)},
            "parallel": case.parallel_keys(),
            "capture": {"prompts": self.prompts(case)},
            "output": {"path": str(output)},
        }

    def prompts(self, case: Case) -> Sequence[str]:
        """The images whose streams are captured."""
        if case.mode == "bfloat16":
            return [str(number) for number in range(HALF_IMAGES)]
        return list(PROMPTS)

    def rounded_streams(self) -> list[np.ndarray]:
        """What transformers makes of the images in bfloat16."""
        oracle = VisionOracle(self.directory, torch.bfloat16)
        return [oracle.residual(image) for image in self.pixels]

    def labels(self) -> dict[str, np.ndarray]:
        """The columns of /tokens that one image has: [T] each."""
        rows, columns = self.model.grid
        outside = np.full(self.model.class_tokens + self.model.registers, NO_PATCH)
        row, column = np.indices((rows, columns)).astype(np.uint32)
        count = self.model.tokens
        return {
            "id": np.arange(count, dtype=np.uint32),
            "position": np.arange(count, dtype=np.uint32),
            "class": label_classes(self.model),
            "grid_row": np.concatenate([outside, row.ravel()]),
            "grid_column": np.concatenate([outside, column.ravel()]),
        }


def label_classes(model: VisionModel) -> np.ndarray:
    """uint8 [T]: the kind of each token of an image."""
    rows, columns = model.grid
    prefix = [CLASS_TOKEN] * model.class_tokens + [REGISTER] * model.registers
    return np.array(prefix + [PATCH] * (rows * columns), np.uint8)


def make_expected_images(model: VisionModel, folder: Path) -> ExpectedImages:
    """Stores the checkpoint and the image file; asks transformers."""
    torch.set_num_threads(1)
    models = (*MODELS, *TOWERS)
    is_first = model is next(other for other in models if other.family == model.family)
    number = HALF_IMAGES if is_first else IMAGES
    pixels = random_images(number, *model.image, seed=models.index(model))
    directory = save(make_random(model), model, folder / "model")
    corpus = write_image_file(folder / "images.h5", pixels)
    exact, single = (
        [oracle.residual(image) for image in pixels]
        for oracle in (VisionOracle(directory, torch.float64), VisionOracle(directory))
    )
    return ExpectedImages(model, directory, corpus, pixels, exact, single)
