""""modelopt", NVIDIA's: FP8 and NVFP4, with the section in config.json or in a file beside it."""

from __future__ import annotations

import numpy as np
import torch

from .compressed_tensors import pack_nvfp4 as pack_halves
from .form import LLAMA, QWEN3, Form, Packed, codes_of, small_float
from .fp8 import LARGEST


def pack_nvfp4(weight: np.ndarray, generator: np.random.Generator) -> Packed:
    """The scale of the matrix is a factor."""
    halves = pack_halves(weight, generator)
    factor = 1 / halves.tensors["weight_global_scale"][0]
    exact = small_float(codes_of(halves.tensors["weight_scale"]), 4, 3) * factor.numpy()
    codes = halves.tensors["weight_packed"].numpy()
    numbers = small_float(np.stack([codes & 15, codes >> 4], axis=-1), 2, 1)
    tensors = {
        "weight": halves.tensors["weight_packed"],
        "weight_scale": halves.tensors["weight_scale"],
        "weight_scale_2": factor,
        "input_scale": torch.tensor(0.25),
    }
    return Packed(tensors, numbers.reshape(weight.shape) * np.repeat(exact, 16, axis=1))


def pack_fp8(weight: np.ndarray, _generator: np.random.Generator) -> Packed:
    scale = np.float32(np.abs(weight).max() / LARGEST)
    codes = torch.from_numpy(weight / scale).to(torch.float8_e4m3fn)
    tensors = {
        "weight": codes,
        "weight_scale": torch.tensor(scale),
        "input_scale": torch.tensor(0.25),
    }
    return Packed(tensors, small_float(codes_of(codes), 4, 3) * scale)


def beside(**quantization: object) -> dict[str, dict[str, object]]:
    return {"hf_quant_config.json": {"producer": {"name": "modelopt"}, "quantization": quantization}}


MODELOPT = (
    Form(
        "modelopt-fp8-beside", LLAMA, {}, pack_fp8, "modelopt: FP8",
        beside=beside(quant_algo="FP8", kv_cache_quant_algo="FP8", exclude_modules=["lm_head"]),
    ),
    Form(
        "modelopt-nvfp4-beside", LLAMA, {}, pack_nvfp4, "modelopt: NVFP4", left_out="self_attn",
        beside=beside(quant_algo="NVFP4", group_size=16, exclude_modules=["*self_attn*", "lm_head"]),
    ),
    Form(
        "modelopt-nvfp4", QWEN3,
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]},
        pack_nvfp4, "modelopt: NVFP4",
    ),
)  # fmt: skip
