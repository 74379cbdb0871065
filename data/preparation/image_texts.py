"""Records of texts and images -> ids and pixels, as transformers' processor of a checkpoint makes them.

In: JSON lines; a model directory, of which no code is run. Out: for each record the ids, the pixels of
its images or of their tiles, and the runs of ids that stand for them. Refuses a directory without a
processor of text and images, records without text, images that cannot be read or are too many or too few,
and a processor that pads images, or gives other tensors than pixels of one size.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from preparation.errors import CORPUS, MODEL, PreparationError
from preparation.image_decoding import decode
from preparation.json_files import read_object
from preparation.records import objects_of_lines
from preparation.tokenizer_directory import OFFLINE


@dataclass(frozen=True)
class Record:
    place: str  # names it in errors
    content: dict[str, Any]
    folder: Path  # where paths of images begin


@dataclass(frozen=True)
class Document:
    place: str
    ids: np.ndarray  # uint32
    pixels: np.ndarray  # float32 [images, 3, height, width]
    first: np.ndarray  # int64 [images] the place of an image's first id
    tokens: np.ndarray  # int64 [images] its ids


def records_of(files: Sequence[Path]) -> Iterator[Record]:
    """The records of JSON lines, file after file."""
    for path, place, content in objects_of_lines(files):
        has = [key for key in ("text", "messages") if key in content]
        if len(has) != 1:
            found = " and ".join(has) or "neither"
            raise PreparationError(
                CORPUS, f'{place}: expected either "text" or "messages", found {found}'
            )
        yield Record(place, content, path.parent)


class ImageTexts:
    def __init__(self, directory: Path) -> None:
        os.environ.update(OFFLINE)
        self._directory = directory
        self._processor = _load_processor(directory)
        self._image_id = _image_id_of(directory, self._processor)

    def described(self) -> str:
        """The settings that pixels are made by, as JSON."""
        return json.dumps(self._processor.image_processor.to_dict(), sort_keys=True, default=str)

    def document_of(self, record: Record) -> Document:
        images = [self._image(record, name) for name in self._names(record)]
        text = self._text(record)
        try:
            made = self._processor(
                text=[text], images=images or None, add_special_tokens=False, return_tensors="np"
            )
        except (ValueError, IndexError, StopIteration) as error:
            raise PreparationError(CORPUS, f"{record.place}: {' '.join(str(error).split())}") from None
        ids = np.asarray(made["input_ids"][0], dtype=np.uint32)
        if len(ids) == 0:
            raise PreparationError(CORPUS, f"{record.place}: expected tokens, found none")
        pixels = self._pixels(record, made) if images else np.zeros((0, 3, 0, 0), np.float32)
        first, tokens = self._runs(record, ids, len(pixels))
        return Document(record.place, ids, pixels, first, tokens)

    def _names(self, record: Record) -> list[str]:
        names = record.content.get("images", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise PreparationError(CORPUS, f'{record.place}: "images": expected a list of paths')
        return names

    def _image(self, record: Record, name: str) -> Image.Image:
        path = record.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PreparationError(CORPUS, f"{record.place}: {path}: {error.strerror}") from None
        return decode(path, content).image

    def _text(self, record: Record) -> str:
        if "text" in record.content:
            text = record.content["text"]
            if not isinstance(text, str):
                raise PreparationError(CORPUS, f'{record.place}: "text": expected a string')
            return text
        try:
            return self._processor.apply_chat_template(record.content["messages"], tokenize=False)
        except Exception as error:  # noqa: BLE001 (a template raises what it likes)
            said = " ".join(str(error).split())
            raise PreparationError(CORPUS, f"{record.place}: the chat template: {said}") from None

    def _pixels(self, record: Record, made: Any) -> np.ndarray:
        mask = made.get("pixel_attention_mask")
        if mask is not None and not np.asarray(mask).all():
            raise PreparationError(
                CORPUS, f"{record.place}: the processor pads images, expected images of one size"
            )
        pixels = np.asarray(made["pixel_values"], dtype=np.float32)
        if pixels.ndim not in (4, 5) or pixels.shape[-3] != 3:
            raise PreparationError(
                MODEL,
                f"{self._directory}: the processor gives pixel_values of shape {pixels.shape}, expected"
                " [images, 3, height, width]",
            )
        return pixels.reshape(-1, *pixels.shape[-3:])

    def _runs(self, record: Record, ids: np.ndarray, images: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the ids of each image begin, and how many they are: each has equally many."""
        places = np.flatnonzero(ids == self._image_id)
        if images == 0 and len(places) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if images == 0 or len(places) == 0 or len(places) % images != 0:
            raise PreparationError(
                CORPUS,
                f"{record.place}: expected image tokens (id {self._image_id}) for {images} image(s),"
                f" found {len(places)}",
            )
        runs = places.reshape(images, -1)
        if not (np.diff(runs, axis=1) == 1).all():
            raise PreparationError(
                MODEL,
                f"{self._directory}: {record.place}: the tokens of an image do not stand together, which"
                " is not known here",
            )
        return runs[:, 0].astype(np.int64), np.full(images, runs.shape[1], np.int64)


def _load_processor(directory: Path) -> Any:
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 (whatever a file made it raise)
        said = " ".join(str(error).split())[:240]
        raise PreparationError(
            MODEL, f"{directory} does not hold a processor that AutoProcessor can load: {said}"
        ) from None
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        found = type(processor).__name__
        raise PreparationError(
            MODEL, f"{directory}: expected a processor of text and images, found a {found}"
        )
    return processor


def _image_id_of(directory: Path, processor: Any) -> int:
    """As config.json says it, and the processor where it does not."""
    config = read_object(directory / "config.json")
    for key in ("image_token_id", "image_token_index"):
        if isinstance(config.get(key), int):
            return config[key]
    return int(processor.image_token_id)
