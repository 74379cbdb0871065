"""A config.json -> a randomly initialised checkpoint of any size, in little memory.

The program says which tensors it asks for, and which of them the config's quantisation packs; those are
codes at random with a scale that fits. Products, biases and embeddings come from one pool of
normal numbers, made once from the seed; each tensor reads the pool around and around from an offset
of its own. The pool's length is prime, so no two rows of a matrix are the same numbers. Norms and
scales are as they are before training. The numbers serve tests of scale and of agreement between
programs, not of statistics.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from preparation.checkpoint_writer import CheckpointWriter, Tensor
from preparation.errors import MODEL, PreparationError
from preparation.json_files import read_object
from preparation.needed_tensors import NeededTensors, needed_tensors
from preparation.packed_matrix import Matrix, Part
from preparation.packed_parts import parts_of
from preparation.planted import Massive, Plant, plants_of
from preparation.shrunk_config import shrunk
from preparation.value_pool import ValuePool, planted, repeated

Config = dict[str, Any]

SECTIONS = ("text_config", "vision_config")
DTYPE_KEYS = ("dtype", "torch_dtype")


@dataclass(frozen=True)
class Settings:
    """What is asked for beside the config.json."""

    dtype: str = "float32"
    shard_bytes: int = 5_000_000_000
    seed: int = 0
    is_shrunk: bool = False
    massive_channel: int | None = None
    massive_token: int | None = None
    massive_magnitude: float = 3000.0


def read_config(path: Path) -> Config:
    if not path.exists():
        raise PreparationError(MODEL, f"{path}: no such file")
    return read_object(path)


def first_of(config: Config, key: str, fallback: Any) -> Any:
    """The value of a key at the top of a config, or in the section of the model that is read."""
    sections = [config, *(config.get(name) or {} for name in SECTIONS)]
    return next((part[key] for part in sections if part.get(key) is not None), fallback)


def with_dtype(config: Config, dtype: str) -> Config:
    """The config that says in which type its weights are, once."""
    kept = {key: value for key, value in config.items() if key not in DTYPE_KEYS}
    for name in SECTIONS:
        if isinstance(kept.get(name), dict):
            section = kept[name].items()
            kept[name] = {key: value for key, value in section if key not in DTYPE_KEYS}
    return kept | {"torch_dtype": dtype}


def needed_by(program: Path, config: Config) -> NeededTensors:
    """What a config asks for that is in no file yet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return needed_tensors(program, path)


def create(program: Path, config_path: Path, directory: Path, settings: Settings) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    config = read_config(config_path)
    needed = needed_tensors(program, config_path)
    if settings.is_shrunk:
        config = shrunk(config, needed.facts)
        needed = needed_by(program, config)
    plants: list[Plant] = []
    if settings.massive_channel is not None:
        token = settings.massive_token
        if token is None and isinstance(first_of(config, "bos_token_id", None), int):
            token = first_of(config, "bos_token_id", None)
        massive = Massive(settings.massive_channel, token, settings.massive_magnitude)
        plants = plants_of(needed, massive)
    config = with_dtype(config, settings.dtype)
    deviation = first_of(config, "initializer_range", 0.02)
    pool = ValuePool(settings.seed, deviation, settings.dtype)
    with CheckpointWriter(directory, settings.dtype) as writer:
        sources = Sources(needed, pool, plants, settings.dtype)
        packed = packed_tensors(config, needed, deviation)
        names = _write(writer, sources, packed, settings)
        writer.write_json("config.json", config)
    return names


def section_of(config: Config) -> Config:
    """What says how weights are packed."""
    places = [config, config.get("text_config") or {}]
    keys = ("quantization_config", "compression_config")
    return next((place[key] for place in places for key in keys if place.get(key)), {})


def packed_tensors(config: Config, needed: NeededTensors, deviation: float) -> dict[str, list[Part]]:
    """The parts of those matrices that are packed, by name; what does not fit its form is numbers."""
    section = section_of(config)
    found = {
        one.tensor.name: parts_of(section, Matrix(one.tensor.name, one.tensor.shape, deviation))
        for one in needed.tensors
        if one.is_packed
    }
    numbers = [name for name, parts in found.items() if parts is None]
    if numbers:
        print(f"{len(numbers)} matrices stay numbers, which {section['quant_method']} does not pack;"
              f" the first is {numbers[0]}")  # fmt: skip
    return {name: parts for name, parts in found.items() if parts is not None}


class Sources:
    """The bytes of every tensor, in chunks."""

    def __init__(
        self, needed: NeededTensors, pool: ValuePool, plants: Sequence[Plant], dtype: str
    ) -> None:
        self.needed = needed
        self._by_name = {one.tensor.name: one for one in needed.tensors}
        self._pool, self._plants, self._dtype = pool, plants, dtype

    def of_tensor(self, tensor: Tensor) -> Iterator[memoryview]:
        one, count = self._by_name[tensor.name], tensor.num_elements()
        is_neutral = one.kind in ("norm", "embedding_norm")
        chunks = self._pool.constant(one.mean, count) if is_neutral else self._pool.normal(count)
        own = [plant for plant in self._plants if plant.tensor == tensor.name]
        return planted(chunks, own, self._dtype)

    def of_part(self, part: Part) -> Iterator[memoryview]:
        num_bytes = part.tensor.num_bytes(self._dtype)
        if isinstance(part.fill, bytes):
            return repeated(part.fill, num_bytes)
        return self._pool.codes(part.fill, num_bytes)


def _write(
    writer: CheckpointWriter,
    sources: Sources,
    packed: dict[str, list[Part]],
    settings: Settings,
) -> list[str]:
    parts = {part.tensor.name: part for of_one in packed.values() for part in of_one}
    tensors: list[Tensor] = []
    for one in sources.needed.tensors:
        name = one.tensor.name
        tensors += [part.tensor for part in packed[name]] if name in packed else [one.tensor]
    total = sum(tensor.num_bytes(writer.dtype) for tensor in tensors)
    with tqdm(total=total, unit="B", unit_scale=True, disable=None) as progress:

        def chunks_of(tensor: Tensor) -> Iterator[memoryview]:
            part = parts.get(tensor.name)
            for chunk in sources.of_tensor(tensor) if part is None else sources.of_part(part):
                yield chunk
                progress.update(len(chunk))

        return writer.write_tensors(tensors, settings.shard_bytes, chunks_of)
