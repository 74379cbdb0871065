""""bitsandbytes": nf4 and fp4 (arXiv 2305.14314), also with quantised scales, and int8 (2208.07339)."""

from __future__ import annotations

import json
from functools import partial
from statistics import NormalDist

import numpy as np
import torch

from .form import LLAMA, QWEN3, Form, Packed

NESTED_BLOCK = 256


def nf4_numbers() -> np.ndarray:
    """Quantiles of a normal distribution, scaled to [-1, 1], with an exact zero (section 3)."""
    offset = 0.9677083
    quantile = np.vectorize(NormalDist().inv_cdf)
    above = quantile(np.linspace(offset, 0.5, 9)[:-1])
    below = -quantile(np.linspace(offset, 0.5, 8)[:-1])
    numbers = np.sort(np.concatenate([above, [0.0], below]))
    return (numbers / numbers.max()).astype(np.float32)


def fp4_numbers() -> np.ndarray:
    """A sign, two bits of exponent, one of mantissa, as the library has them."""
    positive = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3], np.float32) / 12
    return np.concatenate([positive, -positive])


def pack_halves(
    weight: np.ndarray, generator: np.random.Generator, kind: str, block: int, is_nested: bool
) -> Packed:
    table = nf4_numbers() if kind == "nf4" else fp4_numbers()
    flat = weight.reshape(-1)
    padded = np.pad(flat, (0, -len(flat) % block)).reshape(-1, block)
    scales = np.abs(padded).max(axis=1)
    state = {"quant_type": kind, "blocksize": block, "dtype": "float32", "shape": list(weight.shape)}
    tensors = {}
    if is_nested:
        nested_table = np.sort(generator.uniform(-1, 1, 256)).astype(np.float32)
        offset = np.float32(scales.mean())
        rest = np.pad(scales - offset, (0, -len(scales) % NESTED_BLOCK)).reshape(-1, NESTED_BLOCK)
        largest = np.abs(rest).max(axis=1)
        codes = np.abs(rest[..., None] / largest[:, None, None] - nested_table).argmin(axis=-1)
        scales = (nested_table[codes] * largest[:, None] + offset).reshape(-1)[: len(scales)]
        tensors["weight.absmax"] = torch.from_numpy(codes.reshape(-1)[: len(scales)].astype(np.uint8))
        tensors["weight.nested_absmax"] = torch.from_numpy(largest)
        tensors["weight.nested_quant_map"] = torch.from_numpy(nested_table)
        state |= {
            "nested_blocksize": NESTED_BLOCK,
            "nested_dtype": "float32",
            "nested_offset": float(offset),
        }
    else:
        tensors["weight.absmax"] = torch.from_numpy(scales)
    codes = np.abs(padded[..., None] / scales[:, None, None] - table).argmin(axis=-1).astype(np.uint8)
    numbers = (table[codes] * scales[:, None]).reshape(-1)[: len(flat)].reshape(weight.shape)
    codes = codes.reshape(-1)[: len(flat)]
    text = np.frombuffer(json.dumps(state).encode(), np.uint8).copy()
    tensors["weight"] = torch.from_numpy((codes[0::2] << 4) | codes[1::2])[:, None]
    tensors["weight.quant_map"] = torch.from_numpy(table)
    tensors[f"weight.quant_state.bitsandbytes__{kind}"] = torch.from_numpy(text)
    return Packed(tensors, numbers)


def pack_bytes(weight: np.ndarray, _generator: np.random.Generator) -> Packed:
    largest = np.abs(weight).max(axis=1)
    codes = np.rint(weight * 127 / largest[:, None]).astype(np.int8)
    tensors = {
        "weight": torch.from_numpy(codes),
        "SCB": torch.from_numpy(largest),
        "weight_format": torch.tensor(0, dtype=torch.uint8),
    }
    return Packed(tensors, codes * (largest * np.float32(1 / 127))[:, None])


def section(**keys: object) -> dict[str, object]:
    return {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, **keys}


BITSANDBYTES = (
    Form(
        "bitsandbytes-nf4", LLAMA, section(bnb_4bit_quant_type="nf4"),
        partial(pack_halves, kind="nf4", block=64, is_nested=False), "bitsandbytes: nf4",
    ),
    Form(
        "bitsandbytes-nf4-nested", QWEN3,
        section(bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
        partial(pack_halves, kind="nf4", block=64, is_nested=True),
        "bitsandbytes: nf4, scales quantised",
    ),
    Form(
        "bitsandbytes-fp4", LLAMA,
        section(bnb_4bit_quant_type="fp4", llm_int8_skip_modules=["lm_head", "o_proj"]),
        partial(pack_halves, kind="fp4", block=128, is_nested=False), "bitsandbytes: fp4",
        left_out="o_proj",
    ),
    Form(
        "bitsandbytes-int8", QWEN3,
        {"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False},
        pack_bytes, "bitsandbytes: int8",
    ),
)  # fmt: skip
