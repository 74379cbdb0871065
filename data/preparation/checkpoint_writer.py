"""Writes a Hugging Face checkpoint directory, streaming: tensors are given as chunks of bytes, one
after the other.

In: the list of tensors (name, shape) in file order, then for each its bytes in chunks. Out:
`model.safetensors`, or `model-00001-of-0000N.safetensors` with `model.safetensors.index.json` as
the hub lays them out, and the JSON files given. Everything is written in `OUT_DIR.partial`, which
is renamed when whole. Refuses an OUT_DIR that exists.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from preparation.errors import OUTPUT, PreparationError
from preparation.output_lock import held_folder

ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
SAFETENSORS_NAME = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
STORED_BYTES = {
    "F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "U8": 1, "I8": 1, "I32": 4, "I64": 8,
}  # fmt: skip
DATA_ALIGNMENT_BYTES = 64
OTHER_SUFFIXES = (".json", ".jinja", ".md", ".model", ".tiktoken", ".txt")


@dataclass(frozen=True)
class Tensor:
    """One tensor of the checkpoint: row-major, in the checkpoint's dtype or in a type of its own."""

    name: str
    shape: tuple[int, ...]
    stored: str = ""  # as safetensors calls it

    def num_elements(self) -> int:
        return math.prod(self.shape)

    def type_in(self, dtype: str) -> str:
        return self.stored or SAFETENSORS_NAME[dtype]

    def num_bytes(self, dtype: str) -> int:
        return self.num_elements() * STORED_BYTES[self.type_in(dtype)]


def to_bytes(values: np.ndarray, dtype: str) -> bytes:
    """Little-endian bytes of float32 `values`, rounded to nearest, ties to even."""
    values = np.ascontiguousarray(values, dtype="<f4")
    if dtype == "float32":
        return values.tobytes()
    if dtype == "float16":
        return values.astype("<f2").tobytes()
    bits = values.view("<u4")
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    quiet_nan = (bits >> 16) | 0x40  # the rounding above could carry a NaN into infinity
    return np.where(np.isnan(values), quiet_nan, rounded).astype("<u2").tobytes()


def header_bytes(tensors: list[Tensor], dtype: str) -> bytes:
    """What a safetensors file begins with: length and JSON, padded to align the data."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for tensor in tensors:
        end = begin + tensor.num_bytes(dtype)
        header[tensor.name] = {
            "dtype": tensor.type_in(dtype),
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % DATA_ALIGNMENT_BYTES)
    return len(text).to_bytes(8, "little") + text


def split_into_shards(tensors: list[Tensor], dtype: str, shard_bytes: int) -> list[list[Tensor]]:
    """Runs of tensors that fit into `shard_bytes`; a larger tensor has a shard of its own."""
    shards: list[list[Tensor]] = [[]]
    filled = 0
    for tensor in tensors:
        size = tensor.num_bytes(dtype)
        if shards[-1] and filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(tensor)
        filled += size
    return shards


class CheckpointWriter:
    """A checkpoint directory that appears whole, at the end of the `with`, or not at all."""

    def __init__(self, directory: Path, dtype: str) -> None:
        if directory.exists():
            raise PreparationError(OUTPUT, f"{directory} exists already; remove it first")
        self.dtype = dtype
        self._directory = directory
        self._partial = directory.with_name(directory.name + ".partial")

    def __enter__(self) -> CheckpointWriter:
        self._held = contextlib.ExitStack()
        self._held.enter_context(held_folder(self._partial))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._held:
            try:
                if error is None:
                    self._partial.rename(self._directory)
            except OSError as failed:
                error = failed
        if isinstance(error, OSError):
            message = f"cannot write the output {self._directory}: {error.strerror or error}"
            raise PreparationError(OUTPUT, message) from None

    def write_json(self, name: str, content: object) -> None:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (self._partial / name).write_text(text, encoding="utf-8")

    def copy_others(self, folder: Path) -> None:
        """The files of a checkpoint that hold no weights: configs, tokenizer, licence."""
        for path in sorted(folder.iterdir()):
            is_index = path.name.endswith(".index.json") or path.name.startswith("adapter_")
            if path.is_file() and path.suffix in OTHER_SUFFIXES and not is_index:
                shutil.copyfile(path, self._partial / path.name)

    def write_tensors(
        self,
        tensors: list[Tensor],
        shard_bytes: int,
        chunks_of: Callable[[Tensor], Iterable[bytes | memoryview]],
    ) -> list[str]:
        """Writes each tensor from the chunks of bytes `chunks_of` gives; returns the file names."""
        shards = split_into_shards(tensors, self.dtype, shard_bytes)
        names = ["model.safetensors"]
        if len(shards) > 1:
            names = [
                f"model-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)
            ]
        for name, shard in zip(names, shards, strict=True):
            self._write_shard(self._partial / name, shard, chunks_of)
        if len(shards) > 1:
            self._write_index(names, shards)
        return names

    def _write_shard(
        self,
        path: Path,
        tensors: list[Tensor],
        chunks_of: Callable[[Tensor], Iterable[bytes | memoryview]],
    ) -> None:
        with path.open("wb") as file:
            file.write(header_bytes(tensors, self.dtype))
            for tensor in tensors:
                written = sum(file.write(chunk) for chunk in chunks_of(tensor))
                expected = tensor.num_bytes(self.dtype)
                assert written == expected, f"{tensor.name}: {written} bytes for {expected}"
            file.flush()
            os.fsync(file.fileno())

    def _write_index(self, names: list[str], shards: list[list[Tensor]]) -> None:
        total = sum(tensor.num_bytes(self.dtype) for shard in shards for tensor in shard)
        placed = zip(names, shards, strict=True)
        self.write_json(
            "model.safetensors.index.json",
            {
                "metadata": {"total_size": total},
                "weight_map": {tensor.name: name for name, shard in placed for tensor in shard},
            },
        )
