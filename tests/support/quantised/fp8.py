""""fp8": e4m3 with a scale for each block, as DeepSeek, Qwen and MiniMax publish, or for a matrix."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from ..random_models import RandomModel
from ..random_models.model import sizes
from .form import LLAMA, QWEN3, Form, Packed, codes_of, scales_of, small_float, spread

LARGEST = 448.0
QWEN3_MOE = RandomModel(
    "qwen3_moe",
    "qwen3_moe",
    sizes(
        96, 3, (6, 2), 112, 241, head_dim=20, num_experts=5, num_experts_per_tok=2,
        moe_intermediate_size=48,
    ),
    seed=1,
)  # fmt: skip


def pack_blocks(
    weight: np.ndarray,
    _generator: np.random.Generator,
    block: tuple[int, int],
    dtype: torch.dtype = torch.float32,
) -> Packed:
    """`dtype`: of the scales; torch.uint8 for exponents."""
    scales = torch.from_numpy(scales_of(weight, *block, LARGEST))
    if dtype == torch.uint8:
        exponents = torch.ceil(torch.log2(scales))
        stored, scales = (exponents + 127).to(torch.uint8), 2.0**exponents
    else:
        stored = scales.to(dtype)
        scales = stored.float()
    wide = spread(scales.numpy(), *block, weight.shape)
    codes = torch.from_numpy(weight / wide).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
    numbers = small_float(codes_of(codes), 4, 3) * wide
    return Packed({"weight": codes, "weight_scale_inv": stored}, numbers)


def pack_whole(weight: np.ndarray, _generator: np.random.Generator) -> Packed:
    """As Mistral publishes: one scale, and one of the activations, of which nothing is computed."""
    scale = np.float32(np.abs(weight).max() / LARGEST)
    codes = torch.from_numpy(weight / scale).to(torch.float8_e4m3fn)
    numbers = small_float(codes_of(codes), 4, 3) * scale
    tensors = {
        "weight": codes,
        "weight_scale_inv": torch.tensor(scale),
        "activation_scale": torch.tensor(0.5),
    }
    return Packed(tensors, numbers)


def section(**keys: object) -> dict[str, object]:
    return {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", **keys}


FP8 = (
    Form(
        "fp8-blocks-128",
        RandomModel("wide", "llama", sizes(144, 3, (9, 3), 211, 251)),
        section(weight_block_size=[128, 128]),
        partial(pack_blocks, block=(128, 128)),
        "fp8: blocks of 128 x 128",
    ),
    Form(
        "fp8-blocks-bfloat16-left-out",
        QWEN3,
        section(
            weight_block_size=[32, 48], modules_to_not_convert=["lm_head", "model.layers.1.mlp"]
        ),
        partial(pack_blocks, block=(32, 48), dtype=torch.bfloat16),
        "fp8: blocks of 32 x 48",
        left_out=r"layers\.1\.mlp\.",
    ),
    Form(
        "fp8-exponents-experts",
        QWEN3_MOE,
        section(weight_block_size=[16, 32], scale_fmt="ue8m0", ignored_layers=["model.layers.0.mlp.gate"]),
        partial(pack_blocks, block=(16, 32), dtype=torch.uint8),
        "fp8: blocks of 16 x 32",
    ),
    Form(
        "fp8-whole",
        LLAMA,
        {**section(weight_block_size=None), "activation_scheme": "static"},
        pack_whole,
        "fp8: one scale a matrix",
    ),
)
