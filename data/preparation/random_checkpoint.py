"""A config.json -> a randomly initialised checkpoint of any size, in little memory.

The program says which tensors it asks for. Products, biases and embeddings come from one pool of
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

import numpy as np
from tqdm import tqdm

from preparation.checkpoint_writer import ELEMENT_BYTES, CheckpointWriter, Tensor, to_bytes
from preparation.errors import MODEL, PreparationError
from preparation.needed_tensors import NeededTensors, needed_tensors
from preparation.planted import Massive, Plant, plants_of
from preparation.shrunk_config import shrunk

Config = dict[str, Any]

POOL_ELEMENTS = 4_194_301  # the largest prime below 2^22
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


class ValuePool:
    """Bytes of endless normal and constant values, of which tensors take their chunks."""

    def __init__(self, seed: int, standard_deviation: float, dtype: str) -> None:
        generator = np.random.default_rng(seed)
        normal = generator.standard_normal(POOL_ELEMENTS, dtype=np.float32)
        self._dtype = dtype
        self._element_bytes = ELEMENT_BYTES[dtype]
        self._normal = memoryview(to_bytes(normal * np.float32(standard_deviation), dtype))
        self._constants: dict[float, memoryview] = {}
        self._offsets = generator

    def normal(self, num_elements: int) -> Iterator[memoryview]:
        """`num_elements` elements as slices of the pool."""
        position = int(self._offsets.integers(POOL_ELEMENTS))
        while num_elements > 0:
            count = min(num_elements, POOL_ELEMENTS - position)
            begin = position * self._element_bytes
            yield self._normal[begin : begin + count * self._element_bytes]
            num_elements -= count
            position = 0

    def constant(self, value: float, num_elements: int) -> Iterator[memoryview]:
        if value not in self._constants:
            values = np.full(POOL_ELEMENTS, value, dtype=np.float32)
            self._constants[value] = memoryview(to_bytes(values, self._dtype))
        while num_elements > 0:
            count = min(num_elements, POOL_ELEMENTS)
            yield self._constants[value][: count * self._element_bytes]
            num_elements -= count


def planted(
    chunks: Iterator[memoryview], plants: Sequence[Plant], dtype: str
) -> Iterator[memoryview]:
    """The chunks of one tensor with the plants' values in them."""
    size, begin = ELEMENT_BYTES[dtype], 0
    for chunk in chunks:
        end = begin + len(chunk) // size
        for plant in plants:
            skipped = max(0, -(-(begin - plant.first) // plant.step))
            first = plant.first + skipped * plant.step
            last = min(end, plant.first + plant.count * plant.step)
            if first < last:
                elements = np.frombuffer(chunk, dtype=f"<u{size}").copy()
                value = np.frombuffer(to_bytes(np.array([plant.value]), dtype), dtype=f"<u{size}")
                elements[first - begin : last - begin : plant.step] = value
                chunk = memoryview(elements.tobytes())
        yield chunk
        begin = end


def read_config(path: Path) -> Config:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PreparationError(MODEL, f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise PreparationError(MODEL, f"{path} is not readable as JSON: {error}") from None
    if not isinstance(config, dict):
        raise PreparationError(
            MODEL, f"{path}: expected a JSON object, found {type(config).__name__}"
        )
    return config


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
    pool = ValuePool(
        settings.seed, first_of(config, "initializer_range", 0.02), settings.dtype
    )
    with CheckpointWriter(directory, settings.dtype) as writer:
        names = _write(writer, needed, pool, plants, settings)
        writer.write_json("config.json", config)
    return names


def _write(
    writer: CheckpointWriter,
    needed: NeededTensors,
    pool: ValuePool,
    plants: Sequence[Plant],
    settings: Settings,
) -> list[str]:
    by_name = {one.tensor.name: one for one in needed.tensors}
    tensors = [one.tensor for one in needed.tensors]
    elements = sum(tensor.num_elements() for tensor in tensors)
    with tqdm(
        total=elements * ELEMENT_BYTES[writer.dtype], unit="B", unit_scale=True, disable=None
    ) as progress:

        def chunks_of(tensor: Tensor) -> Iterator[memoryview]:
            mean, count = by_name[tensor.name].mean, tensor.num_elements()
            chunks = pool.constant(mean, count) if is_neutral(tensor) else pool.normal(count)
            own = [plant for plant in plants if plant.tensor == tensor.name]
            for chunk in planted(chunks, own, writer.dtype):
                yield chunk
                progress.update(len(chunk))

        def is_neutral(tensor: Tensor) -> bool:
            return by_name[tensor.name].kind in ("norm", "embedding_norm")

        return writer.write_tensors(tensors, settings.shard_bytes, chunks_of)
