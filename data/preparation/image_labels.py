"""The class of each image: from the folders that hold them or from a table, and which number it has.

In: the images of a command line, what `--labels` and `--classes` say, the model's directory. Out: a number
for each image and the names of the classes in the order of the numbers. Refuses (CORPUS) images without a
class, tables that are none, and classes that the list of `--classes` lacks.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import h5py
import numpy as np

from preparation.errors import CORPUS, PreparationError
from preparation.image_folders import Source
from preparation.json_files import read_object

FOLDERS = "folders"
MOST_CLASSES = 1 << 24


@dataclass(frozen=True)
class Labels:
    number: np.ndarray  # uint32 [image]
    names: list[str]
    order: str  # by what the classes are numbered, for people


def labels_of(images: list[Source], choice: str, classes: Path | None, model: Path) -> Labels:
    """`choice` is FOLDERS or the path of a CSV file."""
    if choice == FOLDERS:
        texts = [source.path.absolute().parent.name for source in images]
    else:
        texts = _from_table(images, Path(choice))
    if classes is not None:
        return _numbered(texts, _lines(classes), f"the lines of {classes}")
    known = _names_of_model(model)
    numbers = _as_numbers(texts)
    if numbers is not None:
        names = known or [str(number) for number in range(max(numbers) + 1)]
        if max(numbers) >= len(names):
            raise PreparationError(
                CORPUS,
                f"{choice}: expected numbers below the {len(names)} classes of {model}/config.json,"
                f" found {max(numbers)}",
            )
        return Labels(np.array(numbers, dtype="<u4"), names, "the numbers that are given")
    if set(texts) <= set(known):
        return _numbered(texts, known, f"{model}/config.json (id2label)")
    return _numbered(texts, sorted(set(texts)), "the order of their names")


def class_names(path: Path) -> list[str]:
    """In the order of their numbers: of a text's lines, or of an image file with labels."""
    if not h5py.is_hdf5(path):
        return _lines(path)
    with h5py.File(path) as file:
        names = file.attrs.get("label_names")
    if names is None:
        raise PreparationError(CORPUS, f"{path}: expected an image file with labels, found none")
    return [str(name) for name in json.loads(names)]


def _numbered(texts: list[str], names: list[str], order: str) -> Labels:
    number = {name: place for place, name in enumerate(names)}
    for text in texts:
        if text not in number:
            raise PreparationError(CORPUS, f'class "{text}": expected one of {order}, found none')
    return Labels(np.array([number[text] for text in texts], dtype="<u4"), names, order)


def _as_numbers(texts: list[str]) -> list[int] | None:
    """Where all are whole numbers."""
    if not all(text.isascii() and text.isdigit() for text in texts):
        return None
    numbers = [int(text) for text in texts]
    if max(numbers) >= MOST_CLASSES:
        raise PreparationError(CORPUS, f"class {max(numbers)}: expected a number below {MOST_CLASSES}")
    return numbers


def _names_of_model(model: Path) -> list[str]:
    """Of config.json's id2label; none where it has none, or not for each number."""
    path = model / "config.json"
    names = read_object(path).get("id2label") if path.exists() else None
    if not isinstance(names, dict):
        return []
    ordered = [names.get(str(number)) for number in range(len(names))]
    return [] if None in ordered else [str(name) for name in ordered]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PreparationError(CORPUS, f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PreparationError(CORPUS, f"{path}: invalid UTF-8 at byte {error.start}") from None


def _lines(path: Path) -> list[str]:
    names = [line.strip() for line in _text(path).splitlines() if line.strip()]
    if len(set(names)) < len(names) or not names:
        found = "none" if not names else "one twice"
        raise PreparationError(CORPUS, f"{path}: expected the name of a class on each line, found {found}")
    return names


def _from_table(images: list[Source], path: Path) -> list[str]:
    """Rows of two columns, the image and its class; a first row that names no image is a header."""
    rows = [row for row in csv.reader(_text(path).splitlines()) if row]
    for line, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise PreparationError(
                CORPUS, f"{path}: row {line}: expected an image and its class, found {len(row)} column"
            )
    class_of = {row[0].strip(): row[1].strip() for row in rows}
    texts = []
    for source in images:
        named = [name for name in _names_of(source) if name in class_of]
        if not named:
            raise PreparationError(
                CORPUS, f"{path}: {source.name}: expected a row with its class, found none"
            )
        texts.append(class_of[named[0]])
    return texts


def _names_of(source: Source) -> list[str]:
    """How a table may call an image: with the folder that was given, below it, alone, without ending."""
    path = PurePosixPath(source.name)
    return [source.name, "/".join(path.parts[1:]), path.name, path.stem]
