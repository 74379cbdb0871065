"""MXFP4 as gpt-oss is published: experts as [out, in] in blocks of 32, though modules hold [in, out]."""

from __future__ import annotations

import numpy as np
import torch

from ..random_models import RandomModel
from ..random_models.model import YARN_ROPE, sizes
from .form import Form, Packed, small_float

BLOCK = 32


def fp4_codes(values: np.ndarray) -> np.ndarray:
    """The nearest codes of e2m1."""
    numbers = small_float(np.arange(16), 2, 1)
    return np.abs(values[..., None] - numbers).argmin(axis=-1).astype(np.uint8)


def pairs(codes: np.ndarray) -> np.ndarray:
    """Two codes in a byte, the first in the low half."""
    return codes[..., 0::2] | (codes[..., 1::2] << 4)


def pack(weight: np.ndarray, _generator: np.random.Generator) -> Packed:
    """[E, in, out]"""
    blocks = np.swapaxes(weight, 1, 2)
    blocks = blocks.reshape(*blocks.shape[:2], -1, BLOCK)
    exponents = np.ceil(np.log2(np.abs(blocks).max(axis=-1) / 6))
    scales = 2.0 ** exponents[..., None]
    codes = fp4_codes(blocks / scales)
    numbers = (small_float(codes, 2, 1) * scales).reshape(*blocks.shape[:2], -1)
    tensors = {
        "_blocks": torch.from_numpy(pairs(codes)),
        "_scales": torch.from_numpy((exponents + 127).astype(np.uint8)),
    }
    return Packed(tensors, np.swapaxes(numbers, 1, 2).copy())


def form(name: str, model: RandomModel) -> Form:
    section = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head",
        ],
    }  # fmt: skip
    weights = r"experts\.(gate_up|down)_proj$"
    return Form(name, model, section, pack, "mxfp4: blocks of 32", weights, separator="")


MXFP4 = (
    form(
        "mxfp4-5over1-2of5",
        RandomModel(
            "gpt_oss",
            "gpt_oss",
            sizes(
                96, 3, (5, 1), 64, 251, head_dim=16, num_local_experts=5, num_experts_per_tok=2,
                sliding_window=16, swiglu_limit=1.5,
            ),
            seed=2,
        ),
    ),
    form(
        "mxfp4-6over2-1of4",
        RandomModel(
            "gpt_oss",
            "gpt_oss",
            sizes(
                64, 3, (6, 2), 96, 257, head_dim=20, num_local_experts=4, num_experts_per_tok=1,
                sliding_window=13, rope_parameters=YARN_ROPE | {"truncate": False},
            ),
        ),
    ),
)  # fmt: skip
