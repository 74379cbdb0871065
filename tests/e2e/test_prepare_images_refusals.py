"""What data/prepare_images.py refuses: one clear error, its exit code, and no file."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imaging import DINOV3, MODELS, PHOTO, make_photos, write_model
from preparing import DATA, assert_refused, run, run_well

from support.watching import wait_for_end, wait_until


@pytest.fixture
def dinov2(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODELS["dinov2"])


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("images") / "photos")


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("spoil", ["cut", "text", "empty"])
def test_bad_image_is_refused(
    spoil: str, jobs: int, dinov2: Path, photos: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    content = {"cut": PHOTO.read_bytes()[:20_000], "text": b"no image", "empty": b""}
    words = "not a whole image" if spoil == "cut" else "no image of a format"
    bad.write_bytes(content[spoil])
    result = run(
        "prepare_images.py",
        "--model",
        dinov2,
        "--output",
        tmp_path / "i.h5",
        "--jobs",
        jobs,
        photos,
        bad,
    )
    assert_refused(result, 3, str(bad), words)
    assert not list(tmp_path.glob("i.h5*"))


def test_missing_images_are_refused(dinov2: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for source, words in (("absent", "no such file"), ("none", "named like an image")):
        result = run(
            "prepare_images.py", "--model", dinov2, "--output", tmp_path / "i.h5", tmp_path / source
        )
        assert_refused(result, 3, str(tmp_path / source), words)
        assert not list(tmp_path.glob("i.h5*"))


def test_images_of_different_sizes_are_refused(photos: Path, tmp_path: Path) -> None:
    config = MODELS["dinov2"] | {"do_center_crop": False}
    model = write_model(tmp_path / "model", config)
    result = run("prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", photos)
    assert_refused(result, 3, "b whole.JPG", "256 × 300", "652 × 256", "does not crop")
    assert not list(tmp_path.glob("i.h5*"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_processor_type": "ConvNextImageProcessor"}, ["ConvNextImageProcessor", "known"]),
        ({"image_processor_type": None}, ["image_processor_type None"]),
        ({"size": {"longest_edge": 200}}, ["size", "longest_edge"]),
        ({"size": {"shortest_edge": 200, "longest_edge": 300}}, ["size", "longest_edge"]),
        ({"crop_size": {"shortest_edge": 200}}, ["crop_size", "shortest_edge"]),
        ({"crop_size": {"height": 0, "width": 2}}, ["crop_size", "0"]),
        ({"do_pad": True}, ["do_pad", "not known"]),
        ({"size_divisor": 32}, ["size_divisor", "not known"]),
        ({"resample": 9}, ["resample", "9"]),
        ({"image_mean": [0.5]}, ["image_mean", "3"]),
        ({"image_mean": "abc"}, ["image_mean", "abc", "3 numbers"]),
        ({"image_std": [0.5, 0, 0.5]}, ["image_std", "divided"]),
        ({"rescale_factor": "1/255"}, ["rescale_factor", "1/255", "number"]),
        ({"do_resize": "false"}, ["do_resize", "false", "true, false or null"]),
        ({"size": None}, ["size is null"]),
        ({"size": True}, ["size is true"]),
        ({"size": {"shortest_edge": 10**6}}, ["size", "1000000", "16,384"]),
        ({"resample": None}, ["resample null"]),
        (DINOV3 | {"resample": 1}, ["resample is 1", "2 (bilinear) or 3 (bicubic)"]),
        (DINOV3 | {"rescales_before_resizing": 1}, ["rescales_before_resizing", "not known"]),
        (
            {"image_processor_type": "Gemma3ImageProcessor", "do_pan_and_scan": True},
            ["do_pan_and_scan", "not known"],
        ),
    ],
)
def test_unknown_settings_are_refused(
    changes: dict[str, Any], words: list[str], tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model", MODELS["dinov2"] | changes)
    result = run("prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", PHOTO)
    assert_refused(result, 4, "preprocessor_config.json", *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[1]", "expected a JSON object"),
        (b'{"size": 224', "line 1, column 13"),
        (b"\xff\xfe{}", "is not JSON: invalid UTF-8 at byte 0"),
        (
            b'{"image_processor_type": "SiglipImageProcessor", "size": ' + b"9" * 5000 + b"}",
            "size is Infinity, expected height and width",
        ),
        (b"[" * 100_000, "brackets are nested too deeply"),
    ],
    ids=["list", "cut", "utf-16", "digits", "depth"],
)
def test_settings_that_are_no_json_are_refused(
    content: bytes, words: str, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model", {})
    (model / "preprocessor_config.json").write_bytes(content)
    result = run("prepare_images.py", "--model", model, "--output", tmp_path / "i.h5", PHOTO)
    assert_refused(result, 4, "preprocessor_config.json", words)


def test_bad_model_and_output_are_refused(dinov2: Path, tmp_path: Path) -> None:
    result = run("prepare_images.py", "--model", tmp_path, "--output", tmp_path / "i.h5", PHOTO)
    assert_refused(result, 4, str(tmp_path), "preprocessor_config.json")
    result = run("prepare_images.py", "--model", dinov2, "--output", tmp_path, PHOTO)
    assert_refused(result, 6, str(tmp_path), "directory")
    result = run("prepare_images.py", "--model", dinov2, "--output", PHOTO / "i.h5", PHOTO)
    assert_refused(result, 6, "output")


def test_killed_run_keeps_the_earlier_file(dinov2: Path, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "i.h5"
    run_well("prepare_images.py", "--model", dinov2, "--output", output, PHOTO)
    before = output.read_bytes()
    partial = output.with_name("i.h5.partial")
    command = [sys.executable, DATA / "prepare_images.py", "--model", dinov2, "--output", output]
    with subprocess.Popen([*command, "--jobs", "1", *[PHOTO] * 3000]) as process:
        wait_until(lambda: partial.exists() and partial.stat().st_size > 1 << 20, process)
        process.send_signal(signal.SIGTERM)
        assert wait_for_end(process, [tmp_path]) == 128 + signal.SIGTERM
    assert output.read_bytes() == before
    assert not partial.exists()
