"""Writes image files in the format of data/README.md, straight with h5py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

PAGE_BYTES = 4096


def random_images(number: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """float32 [number, 3, height, width], as if normalised."""
    return np.random.default_rng(seed).normal(size=(number, 3, height, width)).astype("<f4")


def write_image_file(
    path: Path, pixels: np.ndarray, labels: Sequence[int] | np.ndarray = (), **attributes: Any
) -> Path:
    """Writes images, with the classes of each or without; `attributes` replace those of the file."""
    number, channels, height, width = pixels.shape
    names = [f"below/image {i}.png".encode() for i in range(number)]
    settings = {"type": "random", "do_resize": False}
    fingerprint = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    with h5py.File(
        path, "w", alignment_threshold=PAGE_BYTES, alignment_interval=PAGE_BYTES
    ) as file:
        file["pixels"] = pixels
        file["names/bytes"] = np.frombuffer(b"".join(names), dtype=np.uint8)
        file["names/offset"] = np.cumsum([0, *map(len, names)]).astype("<u8")
        if len(labels):
            file["label"] = np.array(labels, "<u4")
            file.attrs["label_names"] = json.dumps([f"class {i}" for i in range(max(labels) + 1)])
        file["source_sha256"] = np.zeros((number, 32), np.uint8)
        file["original_size"] = np.full((number, 2), (height, width), dtype="<u4")
        file.attrs.update(
            {
                "schema": "actsweep-images",
                "schema_version": np.int64(1),
                "corpus_fingerprint": hashlib.sha256(pixels.tobytes()).hexdigest(),
                "processor": json.dumps(settings, sort_keys=True),
                "processor_fingerprint": fingerprint,
                "num_images": np.int64(number),
                "num_channels": np.int64(channels),
                "height": np.int64(height),
                "width": np.int64(width),
                "created": "2026-01-01T00:00:00+00:00",
                "software": "tests/support/image_files.py",
                **attributes,
            }
        )
    return path
