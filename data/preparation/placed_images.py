"""The images of a token file: their pixels, and the ids that stand for them.

In: documents, in order. Out: the group `images` of the file. Pixels wait in a raw file beside the
output, since their number is known only at the end and they have to be contiguous (the sweep maps
them). Refuses images of two sizes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from preparation.errors import CORPUS, PreparationError, writing
from preparation.image_texts import Document
from preparation.raw_column import RawColumn


class PlacedImages:
    def __init__(self, output: Path) -> None:
        self._output = output
        self._path = output.with_name(f"{output.name}.pixels.partial")
        self._shape: tuple[int, ...] | None = None  # of an image
        self._first: list[np.ndarray] = []
        self._tokens: list[np.ndarray] = []

    def __enter__(self) -> PlacedImages:
        with writing(self._output):
            self._output.parent.mkdir(parents=True, exist_ok=True)
            self._pixels = RawColumn(self._path, "<f4")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._pixels.remove()

    def __len__(self) -> int:
        return sum(map(len, self._first))

    def append(self, document: Document, first_token: int) -> None:
        """Those of the next document, whose ids begin at `first_token`."""
        if len(document.pixels) == 0:
            return
        shape = document.pixels.shape[1:]
        self._shape = self._shape or shape
        if shape != self._shape:
            raise PreparationError(
                CORPUS,
                f"{document.place} gives images of {shape[2]} × {shape[1]} pixels, expected"
                f" {self._shape[2]} × {self._shape[1]} as of the first",
            )
        with writing(self._output):
            self._pixels.append(document.pixels.ravel())
        self._first.append(document.first + first_token)
        self._tokens.append(document.tokens)

    def copy_to(self, file: h5py.File, digest: Any) -> None:
        """Makes the group, and adds its content to `digest`."""
        if self._shape is None:
            return
        for name, parts in (("first_token", self._first), ("tokens", self._tokens)):
            values = np.concatenate(parts).astype("<i8")
            file[f"images/{name}"] = values
            digest.update(values.tobytes())
        self._pixels.copy_to(file, "images/pixels", digest, shape=(len(self), *self._shape))
