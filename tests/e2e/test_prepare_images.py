"""data/prepare_images.py: its pixels against transformers' PIL image processors, and their form."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor
from transformers.image_utils import load_image

from imaging import (
    DINOV3,
    IMAGENET,
    IN_ORDER,
    MODELS,
    PHOTO,
    image_at,
    make_photos,
    write_model,
)
from preparing import MIB, peak_memory_bytes, run_well
from study_packages import folder_of
from support.compatibility import Compatibility


@pytest.fixture
def dinov2(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODELS["dinov2"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("images") / "photos")


def expected_pixels(model: Path, paths: list[Path]) -> np.ndarray:
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    assert processor.backend == "pil"
    images = [load_image(str(path)) for path in paths]
    return np.stack([processor(image, return_tensors="np")["pixel_values"][0] for image in images])


@pytest.mark.parametrize("name", MODELS)
def test_pixels_are_transformers(name: str, photos: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", MODELS[name])
    run_well(
        "prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", "--jobs", 1, photos
    )
    expected = expected_pixels(model, [photos / each for each in IN_ORDER])
    with h5py.File(tmp_path / "i.h5") as file:
        assert file["pixels"].shape == expected.shape
        np.testing.assert_allclose(file["pixels"][:], expected, rtol=0, atol=1e-6)
        assert np.ptp(file["pixels"][1]) > 0.9


@pytest.mark.parametrize("resample", [2, 3])
def test_dinov3_resizes_pixels_that_are_rescaled(
    resample: int, photos: Path, tmp_path: Path
) -> None:
    """Against the operators of torch that its processor calls, which needs torchvision itself."""
    size = {"height": 224, "width": 208}
    model = write_model(tmp_path / "model", DINOV3 | {"resample": resample, "size": size})
    run_well("prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", photos)
    mean, std = (torch.tensor(IMAGENET[key])[:, None, None] for key in ("image_mean", "image_std"))
    with h5py.File(tmp_path / "i.h5") as file:
        for name, found in zip(IN_ORDER, file["pixels"][:], strict=True):
            image = torch.from_numpy(np.asarray(image_at(photos / name).convert("RGB")).copy())
            resized = torch.nn.functional.interpolate(
                (image.permute(2, 0, 1).double() / 255)[None], size=tuple(size.values()),
                mode={2: "bilinear", 3: "bicubic"}[resample], align_corners=False, antialias=True,
            )  # fmt: skip
            expected = (resized[0] - mean) / std
            np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=2e-6)


@pytest.mark.parametrize("place", ["processor_config.json", "config.json"])
def test_processor_is_found_where_transformers_finds_it(
    place: str, photos: Path, tmp_path: Path, compatibility: Compatibility
) -> None:
    """In processor_config.json before preprocessor_config.json; its type by that of the model."""
    settings = MODELS["siglip_so400m"] | {"size": {"height": 48, "width": 40}}
    model = write_model(tmp_path / "model", settings | {"size": {"height": 20, "width": 20}})
    if place == "processor_config.json":
        whole = {"image_processor": settings, "processor_class": "SiglipProcessor"}
        (model / place).write_text(json.dumps(whole))
        size = (48, 40)
    else:
        write_model(model, {"size": {"height": 20, "width": 20}})
        config = {"model_type": "siglip", "vision_config": {"image_size": 20, "patch_size": 7}}
        (model / place).write_text(json.dumps(config))
        size = (20, 20)
    run_well("prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", photos)
    expected = expected_pixels(model, [photos / each for each in IN_ORDER])
    with h5py.File(tmp_path / "i.h5") as file:
        assert file["pixels"].shape[2:] == size
        np.testing.assert_allclose(file["pixels"][:], expected, rtol=0, atol=1e-6)
    what = {
        "processor_config.json": "image processor in `processor_config.json`",
        "config.json": "image processor that the `model_type` of `config.json` names",
    }
    compatibility("Images", what[place], "read")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_pixels_of_many_photographs_are_transformers(name: str, tmp_path: Path) -> None:
    names = "astronaut chelsea coffee hubble_deep_field ihc motorcycle_left retina rocket".split()
    folder = folder_of("skimage") / "data"
    paths = [next(folder.glob(f"{each}.*")) for each in names]
    model = write_model(tmp_path / "model", MODELS[name])
    run_well("prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", *paths)
    with h5py.File(tmp_path / "i.h5") as file:
        expected = expected_pixels(model, paths)
        np.testing.assert_allclose(file["pixels"][:], expected, rtol=0, atol=1e-6)


def test_file_has_the_described_form(dinov2: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "i.h5"
    summary = run_well(
        "prepare_images.py", "--model", dinov2, "--output", output, "--jobs", 2, photos, PHOTO
    )
    paths = [*(photos / each for each in IN_ORDER), PHOTO]
    with h5py.File(output) as file:
        forms = {"pixels": "<f4", "names/bytes": "|u1", "names/offset": "<u8"}
        forms |= {"source_sha256": "|u1", "original_size": "<u4"}
        for name, dtype in forms.items():
            assert file[name].dtype.str == dtype, name
        pixels = file["pixels"]
        assert pixels.shape == (5, 3, 224, 224)
        assert pixels.chunks is None and pixels.compression is None
        begin = pixels.id.get_offset()
        assert begin % 4096 == 0
        raw = output.read_bytes()[begin : begin + pixels.nbytes]
        assert raw == pixels[:].tobytes()
        attributes = dict(file.attrs)
        assert attributes["corpus_fingerprint"] == hashlib.sha256(raw).hexdigest()
        assert attributes["corpus_fingerprint"] in summary and "5 image(s)" in summary
        spelled, offset = file["names/bytes"][:].tobytes(), file["names/offset"][:].tolist()
        names = [spelled[a:b].decode() for a, b in zip(offset[:-1], offset[1:], strict=True)]
        assert names == [*(f"photos/{each}" for each in IN_ORDER), PHOTO.name]
        for path, digest in zip(paths, file["source_sha256"][:], strict=True):
            assert digest.tobytes() == hashlib.sha256(path.read_bytes()).digest()
        sizes = [(image.height, image.width) for image in map(image_at, paths)]
        assert file["original_size"][:].tolist() == [list(size) for size in sizes]
        expected = {"schema": "actsweep-images", "schema_version": 1, "num_images": 5}
        expected |= {"num_channels": 3, "height": 224, "width": 224}
        assert {key: attributes[key] for key in expected} == expected
        assert set(attributes) >= {"created", "software"}
        processor = json.loads(attributes["processor"])
        assert processor["type"] == "BitImageProcessor" and processor["resample"] == 3
        text = json.dumps(processor, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()
        assert attributes["processor_fingerprint"] == digest


def test_spelling_of_settings_changes_no_fingerprint(photos: Path, tmp_path: Path) -> None:
    prints = []
    for name in ("vit_old", "vit_other"):
        config = (
            MODELS["vit_old"]
            if name == "vit_old"
            else {"image_processor_type": "ViTImageProcessor"}
        )
        model = write_model(tmp_path / name, config)
        output = tmp_path / f"{name}.h5"
        run_well("prepare_images.py", "--model", model, "--output", output, photos)
        with h5py.File(output) as file:
            prints.append((file.attrs["corpus_fingerprint"], file.attrs["processor_fingerprint"]))
    assert prints[0] == prints[1]


def pixels_of(model: Path, image: Image.Image, path: Path, **options: Any) -> np.ndarray:
    image.save(path, **options)
    output = path.with_suffix(".h5")
    run_well("prepare_images.py", "--model", model, "--output", output, path)
    with h5py.File(output) as file:
        return file["pixels"][0]


def test_image_is_turned_as_its_exif_says(dinov2: Path, tmp_path: Path) -> None:
    photo = image_at(PHOTO).crop((0, 0, 200, 300))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    turned = pixels_of(dinov2, photo, tmp_path / "turned.png", exif=exif)
    quarter = photo.transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(turned, pixels_of(dinov2, quarter, tmp_path / "plain.png"))
    with h5py.File(tmp_path / "turned.h5") as file:
        assert file["original_size"][0].tolist() == [200, 300]


def test_other_modes_become_rgb(dinov2: Path, tmp_path: Path) -> None:
    photo = image_at(PHOTO)
    grey = pixels_of(dinov2, photo.convert("L"), tmp_path / "grey.png")
    as_rgb = pixels_of(dinov2, photo.convert("L").convert("RGB"), tmp_path / "grey_rgb.png")
    assert np.array_equal(grey, as_rgb)
    clear = photo.convert("RGBA")
    clear.putalpha(0)
    white = pixels_of(dinov2, Image.new("RGB", photo.size, "white"), tmp_path / "white.png")
    assert np.array_equal(pixels_of(dinov2, clear, tmp_path / "clear.png"), white)


@pytest.mark.slow
def test_2000_images_take_bounded_memory(dinov2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    shutil.copy(PHOTO, folder / "0000.jpg")
    for number in range(1, 2000):
        os.link(folder / "0000.jpg", folder / f"{number:04}.jpg")
    peak = peak_memory_bytes(
        "prepare_images.py", "--model", dinov2, "--output", tmp_path / "i.h5", folder
    )
    assert peak < 250 * MIB
    with h5py.File(tmp_path / "i.h5") as file:
        assert file["pixels"].shape[0] == 2000
