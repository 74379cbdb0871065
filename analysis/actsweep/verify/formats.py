"""What activations become in formats of low precision, by torch's own types.

In: float32 rows [T, C]. Out: the sum of squares of what is lost. Definitions: docs/statistics.md, "Formats".
"""

from __future__ import annotations

import numpy as np

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)  # OCP Microscaling Formats v1.0, 5.3.3
E4M3_LARGEST, E2M1_LARGEST = np.float32(448), np.float32(6)
MX_BLOCK, NV_BLOCK = 32, 16


def square_error(rows: np.ndarray, name: str) -> float:
    """Over all tokens and channels, in float64."""
    return float(np.sum((rows.astype(np.float64) - _restored(rows, name)) ** 2))


def _restored(rows: np.ndarray, name: str) -> np.ndarray:
    """[T, C] float64: scale times number."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    if name == "int8_token":
        scale = largest / np.float32(127)
        return _product(scale, np.rint(_divided(rows, scale)).clip(-127, 127))
    if name == "fp8_e4m3_token":
        scale = largest / E4M3_LARGEST
        return _product(scale, _to_e4m3(_divided(rows, scale)))
    blocks = _blocks(rows, NV_BLOCK if name == "nvfp4" else MX_BLOCK)
    of_block = np.abs(blocks).max(axis=2, keepdims=True)
    if name == "nvfp4":
        of_token = (largest / E2M1_LARGEST / E4M3_LARGEST)[:, :, None]
        wanted = of_block / E2M1_LARGEST
        scale = of_token * _to_e4m3(_divided(wanted, np.broadcast_to(of_token, wanted.shape)))
        numbers = _to_e2m1(_divided(blocks, scale))
    else:
        is_fp8 = name == "mxfp8_e4m3"
        scale = _power(of_block, 8 if is_fp8 else 2)
        numbers = (_to_e4m3 if is_fp8 else _to_e2m1)(blocks / scale)
    return _product(scale, numbers).reshape(len(rows), -1)[:, : rows.shape[1]]


def _product(scale: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return scale.astype(np.float64) * numbers.astype(np.float64)


def _divided(rows: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float32; 0 where the scale is."""
    return np.divide(rows, scale, out=np.zeros_like(rows), where=scale > 0)


def _blocks(rows: np.ndarray, width: int) -> np.ndarray:
    """[T, blocks, width], filled up with zeros."""
    filled = np.pad(rows, [(0, 0), (0, -rows.shape[1] % width)])
    return filled.reshape(len(rows), -1, width)


def _power(largest: np.ndarray, exponent: int) -> np.ndarray:
    """The largest power of two in a block over that of the element type: E8M0 (section 6.3)."""
    powers = np.where(largest > 0, np.frexp(largest)[1] - 1 - exponent, -127)
    return np.ldexp(np.float32(1), np.maximum(powers, -127)).astype(np.float32)


def _to_e4m3(values: np.ndarray) -> np.ndarray:
    import torch

    cut = np.ascontiguousarray(values.clip(-E4M3_LARGEST, E4M3_LARGEST))
    return torch.from_numpy(cut).to(torch.float8_e4m3fn).float().numpy()


def _to_e2m1(values: np.ndarray) -> np.ndarray:
    """Nearest, ties to the even one, whose last bit is 0: every second of the list."""
    sizes = np.minimum(np.abs(values), E2M1_LARGEST)
    above = np.searchsorted(E2M1, sizes).clip(1, len(E2M1) - 1)
    low, high = E2M1[above - 1], E2M1[above]
    is_tie = sizes - low == high - sizes
    takes_high = np.where(is_tie, above % 2 == 0, sizes - low > high - sizes)
    return np.copysign(np.where(takes_high, high, low), values).astype(np.float32)
