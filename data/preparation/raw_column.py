"""The elements of a dataset in a temporary file, until their number is known."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SLICE_ELEMENTS = 1 << 20


class RawColumn:
    """One dataset's elements in a temporary file."""

    def __init__(self, path: Path, dtype: str) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._file = path.open("w+b")
        self.num_elements = 0

    def append(self, values: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype))
        self.num_elements += len(values)

    def append_number(self, value: int) -> None:
        """One element, sooner than an array of it."""
        self._file.write(value.to_bytes(self._dtype.itemsize, "little"))
        self.num_elements += 1

    def copy_to(self, file: h5py.File, name: str, digest: Any, **layout: Any) -> None:
        """Makes the dataset, contiguous and of one axis without another `layout`, and adds its bytes to
        `digest`."""
        shape = layout.pop("shape", (self.num_elements,))
        dataset = file.create_dataset(name, shape=shape, dtype=self._dtype, **layout)
        self._file.flush()
        self._file.seek(0)
        row = int(np.prod(shape[1:], dtype=np.int64))
        rows = max(1, SLICE_ELEMENTS // row)
        for begin in range(0, shape[0], rows):
            values = np.fromfile(self._file, dtype=self._dtype, count=rows * row)
            dataset[begin : begin + len(values) // row] = values.reshape(-1, *shape[1:])
            digest.update(values.tobytes())

    def remove(self) -> None:
        """May be called again."""
        if self._file.closed:
            return
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # of what is still in the buffer, which nobody wants
            self._file.close()
