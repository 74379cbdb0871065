"""An image file that a model cannot read is refused, and text and images that changed places: exit
code 2 or 3, one message, no hang."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from running import Job, make_corpus, refuse, run_well, write_job

from support.compatibility import Compatibility
from support.image_files import random_images, write_image_file
from support.vision_models import MODELS, VisionModel, make_random, save

JOB_ERROR = 2
CORPUS_ERROR = 3
IMAGES = 4
DINO = next(model for model in MODELS if model.name == "dinov2-5heads")  # patches of 4 × 4
OBLONG = next(model for model in MODELS if model.name == "vit-7heads-unbiased-tanh-6x10-oblong")


def store(model: VisionModel, folder: Path) -> Path:
    return save(make_random(model), model, folder / model.name)


@pytest.fixture(scope="session")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random DINOv2 of 3 layers, for images of 36 × 36 pixels or others."""
    return store(DINO, tmp_path_factory.mktemp("vision"))


@pytest.fixture(scope="session")
def oblong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ViT for images of 24 × 40 pixels alone: transformers stretches squares only."""
    return store(OBLONG, tmp_path_factory.mktemp("vision"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """An image file of its own, which a test may damage."""
    return write_image_file(tmp_path / "images.h5", random_images(IMAGES, *DINO.image))


def make_job(model: Path, corpus: Path, folder: Path, /, **sections: dict[str, Any]) -> Path:
    job: Job = {
        "model": {"path": str(model)},
        "corpus": {"path": str(corpus)},
        "parallel": {"tensor": 2, "threads": 1},
        "output": {"path": str(folder / "sweep.h5")},
        **sections,
    }
    return write_job(folder / "job.toml", job)


def test_undamaged_file_is_swept(vision: Path, images: Path, tmp_path: Path) -> None:
    """What is refused below is refused for its damage alone."""
    run_well(make_job(vision, images, tmp_path, capture={"prompts": ["0", "3"]}), 2)


def test_text_for_a_vision_model(vision: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus.h5", 400)
    refuse(make_job(vision, corpus, tmp_path), CORPUS_ERROR, str(corpus), "reads images")


def test_images_for_a_language_model(model: Path, images: Path, tmp_path: Path) -> None:
    refuse(make_job(model, images, tmp_path), CORPUS_ERROR, str(images), "reads text")


@pytest.mark.parametrize("size", [(2, 36), (36, 3)], ids="{0[0]}x{0[1]}".format)
def test_images_smaller_than_a_patch(
    size: tuple[int, int], vision: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    corpus = write_image_file(tmp_path / "images.h5", random_images(IMAGES, *size))
    job = make_job(vision, corpus, tmp_path)
    log = refuse(job, CORPUS_ERROR, str(corpus), "4 x 4", f"{size[0]} x {size[1]}")
    (message,) = [line for line in log.splitlines() if "error: " in line]
    if size == (2, 36):
        compatibility("Images", "smaller than a patch", "refused", message.partition("error: ")[2])


def test_pixels_that_fill_no_patch_are_left_out_aloud(
    vision: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    corpus = write_image_file(tmp_path / "images.h5", random_images(IMAGES, 38, 37))
    log = run_well(make_job(vision, corpus, tmp_path), 2)
    (warning,) = [line.partition("warning: ")[2] for line in log.splitlines() if "warning: " in line]
    words = "patches of 4 x 4 do not divide images of 38 x 37: 2 pixels below and 1 at the right"
    assert words in warning
    what = "sides that patches do not divide (384 = 27 × 14 + 6)"
    compatibility("Images", what, "warned", warning)


@pytest.mark.parametrize("size", [(40, 24), (48, 40)], ids="{0[0]}x{0[1]}".format)
def test_other_sizes_than_an_oblong_table(
    size: tuple[int, int], oblong: Path, tmp_path: Path
) -> None:
    corpus = write_image_file(tmp_path / "images.h5", random_images(IMAGES, *size))
    words = [str(corpus), "6 x 10 patches of 4 pixels", f"in {size[0]} x {size[1]} pixels"]
    refuse(make_job(oblong, corpus, tmp_path), CORPUS_ERROR, *words)


def set_schema(file: h5py.File) -> list[str]:
    file.attrs["schema"] = "actsweep"
    return ["schema", '"actsweep-images"', "found another HDF5 file"]


def set_version(file: h5py.File) -> list[str]:
    file.attrs["schema_version"] = np.int64(2)
    return ["schema_version: expected 1, found 2"]


def lose_fingerprint(file: h5py.File) -> list[str]:
    del file.attrs["corpus_fingerprint"]
    return ["corpus_fingerprint"]


def replace(file: h5py.File, pixels: np.ndarray, **options: Any) -> None:
    del file["pixels"]
    file.create_dataset("pixels", data=pixels, **options)


def halve(file: h5py.File) -> list[str]:
    replace(file, file["pixels"][()].astype("<f2"))
    return ["pixels", "little-endian float32"]


def quantise(file: h5py.File) -> list[str]:
    replace(file, np.zeros(file["pixels"].shape, np.uint8))
    return ["pixels", "little-endian float32"]


def swap_bytes(file: h5py.File) -> list[str]:
    replace(file, file["pixels"][()].astype(">f4"))
    return ["pixels", "little-endian float32"]


def compress(file: h5py.File) -> list[str]:
    replace(file, file["pixels"][()], chunks=(1, 3, 36, 36), compression="gzip")
    return ["pixels", "contiguous"]


def flatten(file: h5py.File) -> list[str]:
    replace(file, file["pixels"][()].reshape(IMAGES, -1))
    return ["pixels", "expected"]


def make_grey(file: h5py.File) -> list[str]:
    replace(file, file["pixels"][:, :1])
    return ["pixels", "3", "1"]


def remove_pixels(file: h5py.File) -> list[str]:
    del file["pixels"]
    return ["pixels"]


def remove_all_images(file: h5py.File) -> list[str]:
    replace(file, file["pixels"][:0])
    return ["pixels", "at least one image"]


DAMAGES: list[Callable[[h5py.File], list[str]]] = [
    set_schema,
    set_version,
    lose_fingerprint,
    halve,
    quantise,
    swap_bytes,
    compress,
    flatten,
    make_grey,
    remove_pixels,
    remove_all_images,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_images(
    damage: Callable[[h5py.File], list[str]], vision: Path, images: Path, tmp_path: Path
) -> None:
    with h5py.File(images, "r+") as file:
        words = damage(file)
    refuse(make_job(vision, images, tmp_path), CORPUS_ERROR, str(images), *words)


@pytest.mark.parametrize("kept_bytes", [0, 700, -500])
def test_truncated_images(kept_bytes: int, vision: Path, images: Path, tmp_path: Path) -> None:
    images.write_bytes(images.read_bytes()[:kept_bytes])
    refuse(make_job(vision, images, tmp_path), CORPUS_ERROR, str(images))


def test_truncated_pixels(vision: Path, images: Path, tmp_path: Path) -> None:
    """HDF5 itself refuses a file whose end is gone, wherever its pixels lie."""
    with h5py.File(images) as file:
        end = file["pixels"].id.get_offset() + file["pixels"].nbytes // 2
    images.write_bytes(images.read_bytes()[:end])
    refuse(make_job(vision, images, tmp_path), CORPUS_ERROR, str(images))


@pytest.mark.parametrize("name", ["4", "-1", "x", "0x1"])
def test_unknown_image(name: str, vision: Path, images: Path, tmp_path: Path) -> None:
    job = make_job(vision, images, tmp_path, capture={"prompts": [name]})
    refuse(job, CORPUS_ERROR, str(images), f'"{name}"')


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("statistics", "loss", True), ("corpus", "bos", "each_window")],
)
def test_what_images_do_not_have(
    section: str, key: str, value: Any, vision: Path, images: Path, tmp_path: Path
) -> None:
    job = make_job(vision, images, tmp_path)
    text = str(value).lower() if isinstance(value, bool) else f'"{value}"'
    refuse(job, JOB_ERROR, f"[{section}] {key}", "images", sets=[f"{section}.{key}={text}"])
