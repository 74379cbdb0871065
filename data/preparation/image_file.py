"""Writes an image file (HDF5): the pixels of all images, and what each was made of.

In: the number of images, then the images in order. Out: the file, written under a temporary name
and renamed; `/pixels` is contiguous and aligned, for the sweep maps it. Refuses an image whose
pixels have another shape than the first one's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import PIL

from preparation.errors import CORPUS, OUTPUT, PreparationError
from preparation.hdf5_writes import said_once
from preparation.image_labels import Labels
from preparation.image_processor import ProcessedImage
from preparation.image_settings import Settings, fingerprint_of
from preparation.output_lock import held_file

SCHEMA = "actsweep-images"
SCHEMA_VERSION = 1
PAGE_BYTES = 4096


class ImageFileWriter:
    """An image file that appears whole, by `finish`, or not at all."""

    def __init__(self, path: Path, num_images: int) -> None:
        if path.is_dir():
            raise PreparationError(OUTPUT, f"{path} is a directory, expected the name of a file")
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._num_images = num_images
        self._names: list[bytes] = []
        self._sha256 = np.zeros((num_images, 32), dtype=np.uint8)
        self._original_size = np.zeros((num_images, 2), dtype="<u4")
        self._digest = hashlib.sha256()

    def __enter__(self) -> ImageFileWriter:
        with contextlib.ExitStack() as stack:
            stack.enter_context(said_once(self._path))
            self._path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held_file(self._partial))
            self._file = stack.enter_context(
                h5py.File(
                    self._partial,
                    "w",
                    locking=False,  # which `held_file` did before the file could be emptied
                    alignment_threshold=PAGE_BYTES,
                    alignment_interval=PAGE_BYTES,
                )
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def append(self, name: str, source: Path, image: ProcessedImage) -> None:
        """The next image."""
        shape = image.pixels.shape
        number = len(self._names)
        if number == 0:
            self._pixels = self._file.create_dataset(
                "pixels", shape=(self._num_images, *shape), dtype="<f4"
            )
        if shape != self._pixels.shape[1:]:
            raise PreparationError(
                CORPUS,
                f"{source} gives {shape[2]} × {shape[1]} pixels, expected"
                f" {self._pixels.shape[3]} × {self._pixels.shape[2]} as of the first image: the"
                " processor does not crop",
            )
        self._pixels[number] = image.pixels
        self._digest.update(image.pixels.astype("<f4", copy=False).tobytes())
        self._names.append(name.encode("utf-8", errors="surrogateescape"))
        self._sha256[number] = np.frombuffer(image.sha256, dtype=np.uint8)
        self._original_size[number] = (image.height, image.width)

    def finish(self, settings: Settings, labels: Labels | None = None) -> str:
        """Writes what is not pixels, and renames the file; returns the corpus fingerprint."""
        assert len(self._names) == self._num_images
        file = self._file
        file["names/bytes"] = np.frombuffer(b"".join(self._names), dtype=np.uint8)
        lengths = [len(name) for name in self._names]
        file["names/offset"] = np.cumsum([0, *lengths], dtype="<u8")
        file["source_sha256"] = self._sha256
        file["original_size"] = self._original_size
        if labels is not None:
            file["label"] = labels.number
            file.attrs["label_names"] = json.dumps(labels.names)
        file.attrs.update(
            {
                "schema": SCHEMA,
                "schema_version": np.int64(SCHEMA_VERSION),
                "corpus_fingerprint": self._digest.hexdigest(),
                "processor": json.dumps(settings, sort_keys=True),
                "processor_fingerprint": fingerprint_of(settings),
                "num_images": np.int64(self._num_images),
                "num_channels": np.int64(self._pixels.shape[1]),
                "height": np.int64(self._pixels.shape[2]),
                "width": np.int64(self._pixels.shape[3]),
                "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "software": f"actsweep prepare_images.py, Pillow {PIL.__version__}",
            }
        )
        file.close()
        with self._partial.open("rb") as written:
            os.fsync(written.fileno())
        self._partial.rename(self._path)
        return self._digest.hexdigest()
