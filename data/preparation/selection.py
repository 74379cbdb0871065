"""Which documents of a corpus are taken, by their number.

A document's number counts all documents of all files, after --where and without those that were left out as
mistakes. Whether a sample has it depends on the seed and the number alone, so that samples of the same files
are the same on every machine, and one of 0.1 lies inside one of 0.2.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np

WORD = (1 << 64) - 1
Number = TypeVar("Number", int, np.ndarray)


@dataclass(frozen=True)
class Shard:
    index: int
    count: int


@dataclass(frozen=True)
class Selection:
    documents: int | None = None  # at most so many
    tokens: int | None = None  # at most so many; the last document may be cut
    sample: float | None = None  # the chance of each document
    seed: int = 0
    shard: Shard | None = None  # documents i, i + n, …

    def takes(self, number: int) -> bool:
        if self.shard is not None and number % self.shard.count != self.shard.index:
            return False
        return self.sample is None or mixed(self.seed, number) < self.sample * (WORD + 1)

    def described(self) -> dict[str, object]:
        """What differs from taking everything."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def mixed(seed: int, number: Number) -> Number:
    """64 bits of the number, or of each in an array of uint64 (SplitMix64, Steele, Lea and Flood 2014, at
    place `number` of its sequence)."""
    value = ((seed & WORD) + (number + 1) * 0x9E3779B97F4A7C15) & WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & WORD
    return value ^ (value >> 31)
