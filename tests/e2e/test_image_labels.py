"""data/prepare_images.py --labels: which class each image has, and how classes are numbered."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest
from imaging import MODELS, write_model
from PIL import Image
from preparing import run, run_well

CLASSES = ("tench", "goldfish", "shark")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", MODELS["dinov2"])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images of each class, in folders of their names."""
    for number, name in enumerate(CLASSES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for each in range(2):
            image = Image.new("RGB", (40, 40), (number * 60, each * 90, 30))
            image.save(tmp_path / "photos" / name / f"{name}{each}.png")
    return tmp_path / "photos"


def prepared(model: Path, *arguments: object) -> tuple[list[int], list[str]]:
    """The numbers, and the names of the classes."""
    output = model.parent / "images.h5"
    run_well("prepare_images.py", "--model", model, "--output", output, "--jobs", 1, *arguments)
    with h5py.File(output) as file:
        assert file["label"].dtype == "<u4"
        return file["label"][()].tolist(), json.loads(file.attrs["label_names"])


def give_classes(model: Path, names: list[str]) -> None:
    config = {"id2label": {str(number): name for number, name in enumerate(names)}}
    (model / "config.json").write_text(json.dumps(config))


def test_folders_in_the_order_of_their_names(model: Path, photos: Path) -> None:
    found = prepared(model, "--labels", "folders", photos)
    assert found == ([0, 0, 1, 1, 2, 2], ["goldfish", "shark", "tench"])
    assert prepared(model, "--labels", "folders", photos / "shark", photos / "tench") == (
        [0, 0, 1, 1], ["shark", "tench"],
    )  # fmt: skip


def test_model_s_own_numbers_come_first(model: Path, photos: Path) -> None:
    give_classes(model, ["shark", "ray", "tench", "goldfish"])
    found = prepared(model, "--labels", "folders", photos)
    assert found == ([3, 3, 0, 0, 2, 2], ["shark", "ray", "tench", "goldfish"])


def test_list_of_classes_decides(model: Path, photos: Path) -> None:
    give_classes(model, ["shark", "ray", "tench", "goldfish"])
    names = photos.parent / "names.txt"
    names.write_text("tench\n\ngoldfish\nshark\n")
    found = prepared(model, "--labels", "folders", "--classes", names, photos)
    assert found == ([1, 1, 2, 2, 0, 0], list(CLASSES))


@pytest.mark.parametrize("form", ["whole", "below", "alone", "stem"])
def test_table_names_images_in_four_ways(form: str, model: Path, photos: Path) -> None:
    calls = {
        "whole": lambda name: f"photos/{name[:-1]}/{name}.png",
        "below": lambda name: f"{name[:-1]}/{name}.png",
        "alone": lambda name: f"{name}.png",
        "stem": lambda name: name,
    }
    rows = ["image,class"]
    for number, name in enumerate(CLASSES):
        rows += [f"{calls[form](name + str(each))},{10 * number + each}" for each in range(2)]
    table = photos.parent / "table.csv"
    table.write_text("\ufeff" + "\n".join(rows) + "\n")
    numbers, names = prepared(model, "--labels", table, photos)
    assert numbers == [10, 11, 20, 21, 0, 1]
    assert names == [str(number) for number in range(22)]


def test_numbers_have_the_names_of_the_model(model: Path, photos: Path) -> None:
    give_classes(model, ["a", "b", "c"])
    table = photos.parent / "table.csv"
    table.write_text("".join(f"{name}{each}.png,{each}\n" for name in CLASSES for each in range(2)))
    assert prepared(model, "--labels", table, photos) == ([0, 1] * 3, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("tench0.png,1\n", "photos/goldfish/goldfish0.png: expected a row with its class, found none"),
        ("tench0.png\n", "row 1: expected an image and its class, found 1 column"),
        (None, "cannot be read"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    content: str | None, words: str, model: Path, photos: Path
) -> None:
    table = photos.parent / "table.csv"
    if content is not None:
        table.write_text(content)
    output = photos.parent / "images.h5"
    result = run("prepare_images.py", "--model", model, "--output", output, "--labels", table, photos)
    assert result.returncode == 3 and words in result.stderr, result.stderr
    assert not output.exists()


def test_classes_that_the_list_lacks_are_refused(model: Path, photos: Path) -> None:
    names, output = photos.parent / "names.txt", photos.parent / "images.h5"
    cases = (("tench\n", 'class "goldfish"'), ("a\na\n", "found one twice"), ("", "found none"))
    for content, words in cases:
        names.write_text(content)
        options = ("--labels", "folders", "--classes", names)
        result = run("prepare_images.py", "--model", model, "--output", output, *options, photos)
        assert result.returncode == 3 and words in result.stderr, result.stderr
    result = run(
        "prepare_images.py", "--model", model, "--output", output, "--classes", names, photos
    )
    assert result.returncode == 2
