"""What packed matrices are made of: the stored tensors of a quantised file, and what fills them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from preparation.checkpoint_writer import Tensor, to_bytes

Section = Mapping[str, Any]
FLOAT4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
FLOAT4_DEVIATION = math.sqrt(float(np.mean(FLOAT4**2)))
FLOAT8_ONE = bytes([0x38])
BYTE_DEVIATION = 32.0  # of codes of 8 bits, which are of normal numbers


@dataclass(frozen=True)
class Part:
    """A stored tensor: bytes of codes by the name of their pool, or some bytes again and again."""

    tensor: Tensor
    fill: str | bytes  # "bits", "float8" or "int8"


@dataclass(frozen=True)
class Matrix:
    """What is packed: its module's name, its shape [out, in], the deviation of its numbers."""

    name: str
    shape: tuple[int, ...]
    deviation: float

    @property
    def rows(self) -> int:
        return self.shape[0]

    @property
    def columns(self) -> int:
        return self.shape[1]

    @property
    def module(self) -> str:
        return self.name.removesuffix(".weight")

    def part(self, last_words: str, shape: tuple[int, ...], stored: str, fill: str | bytes) -> Part:
        return Part(Tensor(f"{self.module}.{last_words}", shape, stored), fill)

    def number(self, last_words: str, shape: tuple[int, ...], value: float, stored: str = "F32") -> Part:
        """One value everywhere."""
        return self.part(last_words, shape, stored, float_bytes(value, stored))


def float_bytes(value: float, stored: str) -> bytes:
    dtype = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}[stored]
    return to_bytes(np.array([value]), dtype)


def int_deviation(bits: int) -> float:
    """Of whole numbers of so many bits, each as likely."""
    return math.sqrt((4**bits - 1) / 12)


def packed_words(values: np.ndarray, bits: int) -> np.ndarray:
    """Lowest bits first, without gaps, in words of 32 bits."""
    stream = ((values[:, None] >> np.arange(bits)) & 1).reshape(-1).astype(np.uint64)
    stream = np.pad(stream, (0, -len(stream) % 32)).reshape(-1, 32)
    return (stream << np.arange(32, dtype=np.uint64)).sum(axis=1).astype("<u4")


def blocks(matrix: Matrix, rows: int, columns: int) -> tuple[int, ...]:
    return -(-matrix.rows // rows), -(-matrix.columns // columns)


def groups_backwards(matrix: Matrix, groups: int) -> bytes:
    """Of each column, in an order of their own."""
    size = matrix.columns // groups
    return (np.arange(matrix.columns)[::-1] // size).astype("<i4").tobytes()
