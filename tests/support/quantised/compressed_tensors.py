""""compressed-tensors": FP8, INT8, packed INT4 and NVFP4, as llm-compressor writes them."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from .form import LLAMA, QWEN3, Form, Packed, codes_of, scales_of, small_float, spread
from .fp8 import LARGEST
from .integers import packed, packed_down, quantised
from .mxfp4 import fp4_codes, pairs

ALL = 1 << 20


def pack_float8(
    weight: np.ndarray, _generator: np.random.Generator, block: tuple[int, int], shape: tuple[int, ...]
) -> Packed:
    """`shape`: that scales are stored in."""
    block = (min(block[0], weight.shape[0]), min(block[1], weight.shape[1]))
    scales = torch.from_numpy(scales_of(weight, *block, LARGEST)).bfloat16()
    wide = spread(scales.float().numpy(), *block, weight.shape)
    codes = torch.from_numpy(weight / wide).clamp(-LARGEST, LARGEST).to(torch.float8_e4m3fn)
    tensors = {"weight": codes, "weight_scale": scales.reshape(shape)}
    return Packed(tensors, small_float(codes_of(codes), 4, 3) * wide)


def pack_int8(
    weight: np.ndarray, _generator: np.random.Generator, is_symmetric: bool = True
) -> Packed:
    """A scale for each row, a zero for each where it is not symmetric."""
    codes, scales, zeros = quantised(weight, 8, weight.shape[1], is_symmetric)
    signed = torch.from_numpy(codes - 128).to(torch.int8)
    numbers = (codes - zeros).astype(np.float32) * scales
    tensors = {"weight": signed, "weight_scale": torch.from_numpy(scales)}
    if not is_symmetric:
        tensors["weight_zero_point"] = torch.from_numpy(zeros - 128).to(torch.int8)
    return Packed(tensors, numbers)


def pack_words(
    weight: np.ndarray,
    generator: np.random.Generator,
    bits: int,
    group: int,
    is_symmetric: bool = True,
    is_ordered: bool = False,
) -> Packed:
    """`is_ordered`: columns belong to groups in an order of their own."""
    columns = weight.shape[1]
    order = generator.permutation(columns) if is_ordered else np.arange(columns)
    codes, scales, zeros = quantised(weight[:, order], bits, group, is_symmetric)
    numbers = (codes - np.repeat(zeros, group, axis=1)) * np.repeat(scales, group, axis=1)
    back = np.argsort(order)
    tensors = {
        "weight_packed": packed(codes[:, back], bits),
        "weight_scale": torch.from_numpy(scales).to(torch.float16),
        "weight_shape": torch.tensor(weight.shape),
    }
    if not is_symmetric:
        tensors["weight_zero_point"] = packed_down(zeros, bits)
    if is_ordered:
        tensors["weight_g_idx"] = torch.from_numpy((back // group).astype(np.int32))
    return Packed(tensors, numbers[:, back].astype(np.float32))


def pack_nvfp4(weight: np.ndarray, _generator: np.random.Generator) -> Packed:
    """Scales of 8 bits for 16 columns each, divided by one of the matrix."""
    whole = np.float32(LARGEST * 6 / np.abs(weight).max())
    scales = torch.from_numpy(scales_of(weight, 1, 16, 6.0) * whole).to(torch.float8_e4m3fn)
    exact = small_float(codes_of(scales), 4, 3) / whole
    wide = np.repeat(exact, 16, axis=1)
    codes = fp4_codes(weight / wide)
    tensors = {
        "weight_packed": torch.from_numpy(pairs(codes)),
        "weight_scale": scales,
        "weight_global_scale": torch.tensor([whole]),
        "input_global_scale": torch.tensor([3.0]),
    }
    return Packed(tensors, small_float(codes, 2, 1) * wide)


def pack_mixed(weight: np.ndarray, generator: np.random.Generator) -> Packed:
    """By the shapes of LLAMA: projections to the residual stream in 8 bits, others in 4."""
    if len(weight) == LLAMA.config["hidden_size"] != weight.shape[1]:
        return pack_float8(weight, generator, (ALL, ALL), (1,))
    return pack_words(weight, generator, 4, 32)


def section(form: str, ignore: tuple[str, ...] = ("lm_head",), **weights: object) -> dict[str, object]:
    whole = {"num_bits": 8, "type": "float", "symmetric": True, "dynamic": False, **weights}
    groups = {"group_0": {"targets": ["Linear"], "weights": whole, "input_activations": None}}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": groups,
        "ignore": list(ignore),
        "quantization_status": "compressed",
        "kv_cache_scheme": None,
    }


def mixed_section() -> dict[str, object]:
    mixed = section("mixed-precision", type="int", num_bits=4, strategy="group", group_size=32)
    eight = section("float-quantized", strategy="tensor")["config_groups"]["group_0"]
    eight["targets"] = ["re:.*mlp.down_proj"]
    mixed["config_groups"]["group_1"] = eight
    return mixed


CHANNEL = partial(pack_float8, block=(1, ALL), shape=(-1, 1))
COMPRESSED_TENSORS = (
    Form(
        "float-quantized-channel", QWEN3, section("float-quantized", strategy="channel"), CHANNEL,
        "compressed-tensors: float8, one scale a row",
    ),
    Form(
        "naive-quantized-tensor", LLAMA,
        section("naive-quantized", ("lm_head", "re:.*layers.2.*"), strategy="tensor"),
        partial(pack_float8, block=(ALL, ALL), shape=(1,)),
        "compressed-tensors: float8, one scale a matrix", left_out=r"layers\.2",
    ),
    Form(
        "float-quantized-block", LLAMA,
        section("float-quantized", strategy="block", block_structure=[64, 48]),
        lambda weight, generator: pack_float8(
            weight, generator, (64, 48), (-(-weight.shape[0] // 64), -(-weight.shape[1] // 48))
        ),
        "compressed-tensors: float8, blocks of 64 x 48",
    ),
    Form(
        "int-quantized", LLAMA, section("int-quantized", type="int", strategy="channel"), pack_int8,
        "compressed-tensors: int8, one scale a row",
    ),
    Form(
        "int-quantized-zeros", QWEN3,
        section("int-quantized", type="int", strategy="channel", symmetric=False),
        partial(pack_int8, is_symmetric=False), "compressed-tensors: int8, one scale a row",
    ),
    Form(
        "pack-quantized-4-groups", LLAMA,
        section("pack-quantized", type="int", num_bits=4, strategy="group", group_size=32),
        partial(pack_words, bits=4, group=32), "compressed-tensors: int4, groups of 32",
    ),
    Form(
        "pack-quantized-4-zeros-ordered", QWEN3,
        section(
            "pack-quantized", type="int", num_bits=4, strategy="group", group_size=16,
            symmetric=False, actorder="group",
        ),
        partial(pack_words, bits=4, group=16, is_symmetric=False, is_ordered=True),
        "compressed-tensors: int4, groups of 16",
    ),
    Form(
        "pack-quantized-8-channel", QWEN3,
        section("pack-quantized", type="int", num_bits=8, strategy="channel"),
        lambda weight, generator: pack_words(weight, generator, 8, weight.shape[1]),
        "compressed-tensors: int8, one scale a row",
    ),
    Form(
        "pack-quantized-3-groups", LLAMA,
        section("pack-quantized", type="int", num_bits=3, strategy="group", group_size=32),
        partial(pack_words, bits=3, group=32), "compressed-tensors: int3, groups of 32",
    ),
    Form(
        "nvfp4-pack-quantized", LLAMA,
        section("nvfp4-pack-quantized", num_bits=4, strategy="tensor_group", group_size=16),
        pack_nvfp4, "compressed-tensors: float4, groups of 16",
    ),
    Form(
        "mixed-precision", LLAMA, mixed_section(), pack_mixed,
        "compressed-tensors: int4, groups of 32; float8, one scale a matrix",
    ),
)  # fmt: skip
