"""A base checkpoint and a LoRA adapter -> a checkpoint of its own, one tensor in memory at a time.

In: two directories. Out: safetensors with the base's names, shapes and types, and copies of the base's other
files. Refuses a base without safetensors, and what lora_adapter refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from tqdm import tqdm

from preparation.checkpoint_writer import STORED_BYTES, CheckpointWriter, Tensor
from preparation.errors import MODEL, PreparationError
from preparation.lora_adapter import read_adapter
from preparation.stored_tensors import bytes_of, described
from preparation.weight_index import weight_map

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD_BYTES = 5_000_000_000


def convert(base: Path, adapter_path: Path, directory: Path, dtype: str | None) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    adapter = read_adapter(adapter_path)
    source = SafetensorsFiles(base)
    adapter.check_names(source.names(), base)
    tensors = source.described(dtype)
    with CheckpointWriter(directory, dtype or "float32") as writer:
        with tqdm(total=len(tensors), unit="tensor", desc=directory.name, disable=None) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[memoryview]:
                yield bytes_of(adapter.apply(tensor.name, source.read(tensor.name)), tensor.stored)
                progress.update()

            names = writer.write_tensors(tensors, SHARD_BYTES, chunks_of)
        writer.copy_others(base)
    return names


class SafetensorsFiles:
    """The tensors of a directory, in the order of their files."""

    def __init__(self, directory: Path) -> None:
        self._file_of: dict[str, Path] = {}
        for path in _files_of(directory):
            try:
                with safe_open(path, framework="pt") as file:
                    self._file_of |= dict.fromkeys(file.keys(), path)
            except Exception as error:  # a damaged or missing file
                raise PreparationError(MODEL, f"{path} is not a whole safetensors file: {error}") from None

    def names(self) -> list[str]:
        return list(self._file_of)

    def read(self, name: str) -> torch.Tensor:
        with safe_open(self._file_of[name], framework="pt") as file:
            return file.get_tensor(name)

    def described(self, dtype: str | None) -> list[Tensor]:
        """As they will be stored, from the headers alone."""
        tensors = []
        for name, path in self._file_of.items():
            with safe_open(path, framework="pt") as file:
                kind = file.get_slice(name)
                shape, stored = kind.get_shape(), kind.get_dtype()
            if stored not in STORED_BYTES:
                raise PreparationError(
                    MODEL, f"{path}: {name}: a tensor of type {stored}, which is not written here"
                )
            tensors.append(described(name, shape, stored, dtype))
        return tensors


def _files_of(directory: Path) -> list[Path]:
    if (directory / SINGLE).is_file():
        return [directory / SINGLE]
    if not (directory / INDEX).is_file():
        raise PreparationError(
            MODEL,
            f"{directory}: expected the base's {SINGLE} or {INDEX}, found neither; prepare_model.py torch"
            " makes them of pytorch_model.bin",
        )
    return [directory / name for name in sorted(set(weight_map(directory / INDEX).values()))]
