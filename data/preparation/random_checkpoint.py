"""A config.json -> a randomly initialised checkpoint of any size, in little memory.

Values come from one pool of normal numbers, made once from the seed; each tensor reads the pool
around and around from an offset of its own. The pool's length is prime, so no two rows of a matrix
are the same numbers. The numbers serve tests of scale and of agreement between programs, not of
statistics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preparation.checkpoint_writer import ELEMENT_BYTES, CheckpointWriter, Tensor, to_bytes
from preparation.errors import MODEL, PreparationError
from preparation.random_families import NORMAL, Config, family_of, tensors_of

POOL_ELEMENTS = 4_194_301  # the largest prime below 2^22


class ValuePool:
    """Bytes of endless normal and constant values, of which tensors take their chunks."""

    def __init__(self, seed: int, standard_deviation: float, dtype: str) -> None:
        generator = np.random.default_rng(seed)
        normal = generator.standard_normal(POOL_ELEMENTS, dtype=np.float32)
        self._element_bytes = ELEMENT_BYTES[dtype]
        self._normal = memoryview(to_bytes(normal * np.float32(standard_deviation), dtype))
        self._ones = memoryview(to_bytes(np.ones(POOL_ELEMENTS, dtype=np.float32), dtype))
        self._offsets = generator

    def chunks(self, values: str, num_elements: int) -> Iterator[memoryview]:
        """`num_elements` elements as slices of the pool."""
        pool = self._normal if values == NORMAL else self._ones
        position = int(self._offsets.integers(POOL_ELEMENTS))
        while num_elements > 0:
            count = min(num_elements, POOL_ELEMENTS - position)
            yield pool[position * self._element_bytes : (position + count) * self._element_bytes]
            num_elements -= count
            position = 0


def _read_config(path: Path) -> Config:
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


def create(
    config_path: Path, directory: Path, dtype: str, shard_bytes: int, seed: int
) -> list[str]:
    """Writes the checkpoint directory; returns the names of its weight files."""
    config = _read_config(config_path)
    tensors = tensors_of(str(config_path), config)
    config["architectures"] = [family_of(str(config_path), config).architecture]
    config["torch_dtype"] = dtype
    config.pop("dtype", None)  # transformers 5 would believe it over torch_dtype

    values_of = {random.tensor.name: random.values for random in tensors}
    total_bytes = sum(random.tensor.num_elements() for random in tensors) * ELEMENT_BYTES[dtype]
    pool = ValuePool(seed, config.get("initializer_range", 0.02), dtype)
    with CheckpointWriter(directory, dtype) as writer:
        with tqdm(
            total=total_bytes, unit="B", unit_scale=True, desc=directory.name, disable=None
        ) as progress:

            def chunks_of(tensor: Tensor) -> Iterator[memoryview]:
                for chunk in pool.chunks(values_of[tensor.name], tensor.num_elements()):
                    yield chunk
                    progress.update(len(chunk))

            names = writer.write_tensors(
                [random.tensor for random in tensors], shard_bytes, chunks_of
            )
        writer.write_json("config.json", config)
    return names
