"""Tensors of torch on their way into safetensors: their types by name, and their bytes.

A tensor keeps the type that it is stored in, unless a dtype is asked for: then floating-point numbers take
that one, and codes stay codes.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from preparation.checkpoint_writer import SAFETENSORS_NAME, Tensor

STORED_NAMES = {
    torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.float8_e4m3fn: "F8_E4M3",
    torch.uint8: "U8", torch.int8: "I8", torch.int32: "I32", torch.int64: "I64",
}  # fmt: skip
REALS = {name: dtype for dtype, name in STORED_NAMES.items() if name in SAFETENSORS_NAME.values()}
WIDE = {torch.float64: "F32"}  # which no model computes in


def stored_name(tensor: torch.Tensor) -> str | None:
    """The type that it is written as, as safetensors calls it; None of one that is not written here."""
    return WIDE.get(tensor.dtype, STORED_NAMES.get(tensor.dtype))


def described(name: str, shape: Iterable[int], stored: str, dtype: str | None) -> Tensor:
    """A tensor of a type, or of the dtype where its numbers are real."""
    is_changed = stored in REALS and dtype is not None
    return Tensor(name, tuple(shape), SAFETENSORS_NAME[dtype] if is_changed else stored)


def bytes_of(tensor: torch.Tensor, stored: str) -> memoryview:
    """Its numbers as `stored`, without a copy where they are so already."""
    converted = tensor.to(REALS[stored]) if stored in REALS else tensor
    return memoryview(converted.contiguous().reshape(-1).view(torch.uint8).numpy())
