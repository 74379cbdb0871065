"""The SplitMix64 generator as docs/statistics.md and docs/interventions.md write it down."""

MASK = 2**64 - 1


def splitmix64(seed: int, i: int = 0) -> int:
    """The i-th number, counted from 0."""
    x = (seed + (i + 1) * 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)
