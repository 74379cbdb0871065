"""A checkpoint that PyTorch pickled -> safetensors beside copies of its other files.

In: a directory with pytorch_model.bin, or its shards and their index, or the path of one `.bin` or `.pth`
file whose directory has config.json. Out: a directory of safetensors, sharded, with an index. One file at a
time is open, and of it one tensor is in memory (of a file older than PyTorch 1.6 all of it). Refuses what
pickled_weights refuses, tensors that the index does not place where they are, and Meta's own names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from preparation.checkpoint_writer import CheckpointWriter, Tensor
from preparation.errors import MODEL, PreparationError
from preparation.pickled_weights import load_weights
from preparation.stored_tensors import bytes_of, described, stored_name
from preparation.weight_index import weight_map

SINGLE, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
SHARD_BYTES = 5_000_000_000
WRAPPERS = ("state_dict", "model", "module")  # keys under which trainers put the weights
METAS_NAME = "tok_embeddings.weight"

State = dict[str, torch.Tensor]


def convert(path: Path, directory: Path, dtype: str | None) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    files = _files_of(path)
    folder = files[0].parent
    if not (folder / "config.json").is_file():
        raise PreparationError(MODEL, f"{folder}: expected config.json beside the weights, found none")
    source = _PickledFiles(files, folder / INDEX if path.is_dir() else None)
    tensors = source.described(dtype)
    with CheckpointWriter(directory, dtype or "float32") as writer:
        with tqdm(total=len(tensors), unit="tensor", desc=directory.name, disable=None) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[memoryview]:
                yield bytes_of(source.read(tensor.name), tensor.stored)
                progress.update()

            names = writer.write_tensors(tensors, SHARD_BYTES, chunks_of)
        writer.copy_others(folder)
    return names


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / INDEX).is_file():
        return [path / name for name in sorted(set(weight_map(path / INDEX).values()))]
    if (path / SINGLE).is_file():
        return [path / SINGLE]
    what = f"{SINGLE} or {INDEX} in it" if path.is_dir() else "a directory, or a .bin or .pth file"
    raise PreparationError(MODEL, f"{path}: expected {what}, found none")


class _PickledFiles:
    """The tensors of several files, of which one is open at a time."""

    def __init__(self, files: list[Path], index: Path | None) -> None:
        self._files = files
        self._index = index if index is not None and index.is_file() else None
        self._place: dict[str, Path] = {}
        self._opened: tuple[Path, State] | None = None

    def described(self, dtype: str | None) -> list[Tensor]:
        """All of them, file by file, as they will be stored."""
        tensors = []
        for path in self._files:
            for name, values in self._state(path).items():
                stored = stored_name(values)
                if stored is None:
                    raise PreparationError(
                        MODEL, f"{path}: {name}: a tensor of {values.dtype}, which is not written here"
                    )
                if name in self._place:
                    raise PreparationError(MODEL, f"{path}: {name} is in {self._place[name].name} too")
                self._place[name] = path
                tensors.append(described(name, values.shape, stored, dtype))
        self._check_index()
        return tensors

    def _check_index(self) -> None:
        if self._index is None:
            return
        for name, file in weight_map(self._index).items():
            if self._place.get(name) != self._index.parent / file:
                raise PreparationError(MODEL, f"{self._index}: expected {name} in {file}, found it not")

    def read(self, name: str) -> torch.Tensor:
        return self._state(self._place[name])[name]

    def _state(self, path: Path) -> State:
        if self._opened is None or self._opened[0] != path:
            self._opened = None  # before the next one is read
            self._opened = path, _state_of(path)
        return self._opened[1]


def _state_of(path: Path) -> State:
    """The weights of a file, by name."""
    stored = load_weights(path)
    for wrapper in WRAPPERS:
        if isinstance(stored, dict) and isinstance(stored.get(wrapper), dict):
            stored = stored[wrapper]
    if not isinstance(stored, dict) or not stored:
        raise PreparationError(MODEL, f"{path}: expected tensors by name, found {type(stored).__name__}")
    for name, values in stored.items():
        is_dense = isinstance(values, torch.Tensor) and values.layout == torch.strided
        if not isinstance(name, str) or not is_dense:
            kind = type(values).__name__
            raise PreparationError(MODEL, f"{path}: {name!r}: expected a dense tensor, found {kind}")
    if METAS_NAME in stored:
        raise PreparationError(
            MODEL,
            f"{path}: its tensors have Meta's own names ({METAS_NAME}): expected those of transformers,"
            " which its convert_llama_weights_to_hf.py makes",
        )
    return stored
