"""Endless bytes of numbers and codes, of which tensors take their chunks; values planted among them.

In: a seed, a standard deviation, the dtype of numbers. Out: slices of pools that are made once. A
pool's length is prime, so no two rows of a matrix are the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from preparation.checkpoint_writer import ELEMENT_BYTES, to_bytes
from preparation.packed_matrix import BYTE_DEVIATION
from preparation.planted import Plant

POOL_ELEMENTS = 4_194_301  # the largest prime below 2^22


class ValuePool:
    """Bytes of endless normal and constant values, of which tensors take their chunks."""

    def __init__(self, seed: int, standard_deviation: float, dtype: str) -> None:
        generator = np.random.default_rng(seed)
        normal = generator.standard_normal(POOL_ELEMENTS, dtype=np.float32)
        self._dtype = dtype
        self._element_bytes = ELEMENT_BYTES[dtype]
        self._normal = memoryview(to_bytes(normal * np.float32(standard_deviation), dtype))
        self._constants: dict[float, memoryview] = {}
        self._codes: dict[str, memoryview] = {}
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

    def codes(self, kind: str, num_bytes: int) -> Iterator[memoryview]:
        """Bytes at random: all alike ("bits"), or codes of normal numbers ("float8", "int8")."""
        if kind not in self._codes:
            self._codes[kind] = memoryview(code_pool(kind, self._offsets).tobytes())
        position = int(self._offsets.integers(POOL_ELEMENTS))
        while num_bytes > 0:
            count = min(num_bytes, POOL_ELEMENTS - position)
            yield self._codes[kind][position : position + count]
            num_bytes -= count
            position = 0


def code_pool(kind: str, generator: np.random.Generator) -> np.ndarray:
    """Elements of 8 bits. Those of numbers have the standard deviation BYTE_DEVIATION."""
    if kind == "bits":
        return generator.integers(0, 256, POOL_ELEMENTS, np.uint8)
    numbers = generator.standard_normal(POOL_ELEMENTS, dtype=np.float32) * np.float32(BYTE_DEVIATION)
    if kind == "int8":
        return np.clip(np.rint(numbers), -127, 127).astype(np.int8)
    codes = np.arange(0x7F)  # of e4m3 up to 448
    exponent, mantissa = codes >> 3, codes & 7
    table = np.where(exponent > 0, (8 + mantissa) * 2.0 ** (exponent - 10), mantissa * 2.0**-9)
    nearest = np.searchsorted((table[1:] + table[:-1]) / 2, np.abs(numbers))
    return (nearest | np.where(numbers < 0, 0x80, 0)).astype(np.uint8)


def repeated(unit: bytes, num_bytes: int) -> Iterator[memoryview]:
    chunk = memoryview(unit * max(1, min(num_bytes, POOL_ELEMENTS) // len(unit)))
    while num_bytes > 0:
        yield chunk[:num_bytes]
        num_bytes -= min(num_bytes, len(chunk))


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
