"""Whole numbers of few bits in words: what compressed-tensors, GPTQ and AWQ share."""

from __future__ import annotations

import numpy as np
import torch


def quantised(
    weight: np.ndarray, bits: int, group: int, is_symmetric: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[out, in] -> codes [out, in] from 0, scales [out, groups], zeros [out, groups]."""
    blocks = weight.reshape(len(weight), -1, group)
    most = 2**bits - 1
    if is_symmetric:
        scales = 2 * np.abs(blocks).max(axis=2) / most
        zeros = np.full(scales.shape, 2 ** (bits - 1))
    else:
        low, high = np.minimum(blocks.min(axis=2), 0), np.maximum(blocks.max(axis=2), 0)
        scales = (high - low) / most
        zeros = np.clip(np.rint(-low / scales), 1, most)
    scales = scales.astype(np.float16).astype(np.float32)
    codes = np.rint(blocks / scales[..., None]) + zeros[..., None]
    return np.clip(codes, 0, most).reshape(weight.shape).astype(np.int64), scales, zeros.astype(np.int64)


def packed(codes: np.ndarray, bits: int) -> torch.Tensor:
    """The last axis, lowest bits first, without gaps, in words of 32 bits."""
    planes = (codes[..., None] >> np.arange(bits)) & 1
    stream = planes.reshape(*codes.shape[:-1], -1)
    missing = -stream.shape[-1] % 32
    stream = np.pad(stream, [(0, 0)] * (stream.ndim - 1) + [(0, missing)])
    words = (stream.reshape(*codes.shape[:-1], -1, 32) << np.arange(32)).sum(axis=-1)
    return torch.from_numpy(words.astype(np.uint32).view(np.int32))


def packed_down(codes: np.ndarray, bits: int) -> torch.Tensor:
    """The same of the first axis."""
    return packed(codes.T, bits).T.contiguous()
