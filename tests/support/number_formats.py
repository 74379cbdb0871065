"""Formats of low precision by the types of ml_dtypes: what activations become in them.

Definitions: docs/statistics.md, "Formats".
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

FORMATS = ("int8_token", "fp8_e4m3_token", "mxfp8_e4m3", "mxfp4", "nvfp4")
E4M3, E2M1, E8M0 = ml_dtypes.float8_e4m3fn, ml_dtypes.float4_e2m1fn, ml_dtypes.float8_e8m0fnu
ELEMENTS = {"mxfp8_e4m3": E4M3, "mxfp4": E2M1}
MX_BLOCK, NV_BLOCK = 32, 16


def cast(values: np.ndarray, kind: type) -> np.ndarray:
    """float32 numbers of a type, which saturate."""
    largest = np.float32(ml_dtypes.finfo(kind).max)
    return values.clip(-largest, largest).astype(kind).astype(np.float32)


def quotients(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float32; 0 where the scale is."""
    return np.divide(x, scale, out=np.zeros_like(x), where=scale > 0)


def blocks_of(x: np.ndarray, size: int) -> np.ndarray:
    """[..., blocks, size], filled up with zeros."""
    width = [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % size)]
    return np.pad(x, width).reshape(*x.shape[:-1], -1, size)


def mx_scale(largest: np.ndarray, kind: type) -> np.ndarray:
    """A power of two, as E8M0 has it (OCP Microscaling Formats v1.0, 6.3)."""
    exponent = np.where(largest > 0, np.frexp(largest)[1] - 1, -127)
    element = np.frexp(np.float32(ml_dtypes.finfo(kind).max))[1] - 1
    power = np.ldexp(1.0, np.maximum(exponent - element, -127))
    return power.astype(E8M0).astype(np.float32)


def restored(x: np.ndarray, name: str) -> np.ndarray:
    """float32 [..., C] -> float64 [..., C]: scale times number."""
    largest = np.abs(x).max(axis=-1, keepdims=True)
    if name == "int8_token":
        scale = largest / np.float32(127)
        numbers = np.rint(quotients(x, scale)).clip(-127, 127)
    elif name == "fp8_e4m3_token":
        scale = largest / np.float32(448)
        numbers = cast(quotients(x, scale), E4M3)
    elif name == "nvfp4":
        of_token = (largest / np.float32(6) / np.float32(448))[..., None]
        blocks = blocks_of(x, NV_BLOCK)
        wanted = np.abs(blocks).max(axis=-1, keepdims=True) / np.float32(6)
        scale = of_token * cast(quotients(wanted, np.broadcast_to(of_token, wanted.shape)), E4M3)
        numbers = cast(quotients(blocks, scale), E2M1)
    else:
        blocks = blocks_of(x, MX_BLOCK)
        scale = mx_scale(np.abs(blocks).max(axis=-1, keepdims=True), ELEMENTS[name])
        numbers = cast(blocks / scale, ELEMENTS[name])
    whole = scale.astype(np.float64) * numbers.astype(np.float64)
    return whole.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]]


def square_errors(x: np.ndarray, name: str) -> np.ndarray:
    """[..., C]"""
    return (x.astype(np.float64) - restored(x, name)) ** 2
