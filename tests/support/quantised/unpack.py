"""Packed tensors -> the numbers that they stand for, by the formula of each method, in NumPy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .form import codes_of, small_float, spread
from .gptq_awq import AWQ_ORDER, widened

Parts = Mapping[str, torch.Tensor]  # of one matrix, by their last words


def bits_of(words: torch.Tensor, bits: int, count: int) -> np.ndarray:
    """The first `count` codes along the last axis, lowest bits first."""
    stored = words.numpy().view(np.uint32)
    planes = ((stored[..., None] >> np.arange(32, dtype=np.uint32)) & 1).reshape(*stored.shape[:-1], -1)
    codes = planes[..., : count * bits].reshape(*stored.shape[:-1], count, bits)
    return (codes * 2 ** np.arange(bits)).sum(axis=-1).astype(np.int64)


def halves_of(bytes_: torch.Tensor) -> np.ndarray:
    """Two codes of a byte, the low one first."""
    codes = bytes_.numpy()
    return np.stack([codes & 15, codes >> 4], axis=-1).reshape(*codes.shape[:-1], -1)


def numbers_of(method: str, section: Mapping[str, Any], parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    numbers = {
        "fp8": of_fp8, "mxfp4": of_mxfp4, "compressed-tensors": of_compressed, "gptq": of_gptq,
        "awq": of_awq, "modelopt": of_modelopt, "bitsandbytes": of_bitsandbytes,
    }[method](section, parts, shape)  # fmt: skip
    assert numbers.shape == shape, (numbers.shape, shape)
    return numbers.astype(np.float32)


def of_fp8(section: Mapping[str, Any], parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    numbers = small_float(codes_of(parts["weight"]), 4, 3)
    scales = parts["weight_scale_inv"].numpy()
    return numbers * (scales if scales.ndim == 0 else spread(scales, *section["weight_block_size"], shape))


def of_mxfp4(_section: Mapping[str, Any], parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    numbers = small_float(halves_of(parts["_blocks"]), 2, 1)
    numbers = numbers * 2.0 ** (parts["_scales"].numpy().astype(np.float64)[..., None] - 127)
    return np.swapaxes(numbers.reshape(shape[0], shape[2], shape[1]), 1, 2)


def of_compressed(section: Mapping[str, Any], parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    scales = parts["weight_scale"]
    if "weight_global_scale" in parts:
        exact = small_float(codes_of(scales), 4, 3) / parts["weight_global_scale"].numpy()
        return small_float(halves_of(parts["weight_packed"]), 2, 1) * np.repeat(exact, 16, axis=1)
    scales = scales.float().numpy()
    if "weight" in parts:
        if scales.ndim == 2 and scales.shape[1] > 1:
            scales = spread(scales, *section["config_groups"]["group_0"]["weights"]["block_structure"], shape)
        codes = parts["weight"]
        if codes.dtype == torch.float8_e4m3fn:
            return small_float(codes_of(codes), 4, 3) * scales
        zeros = parts["weight_zero_point"].numpy().astype(int) if "weight_zero_point" in parts else 0
        return (codes.numpy().astype(int) - zeros) * scales
    bits = section["config_groups"]["group_0"]["weights"]["num_bits"]
    codes = bits_of(parts["weight_packed"], bits, shape[1])
    zeros = np.full(scales.shape, 2 ** (bits - 1))
    if "weight_zero_point" in parts:
        zeros = bits_of(parts["weight_zero_point"].T.contiguous(), bits, shape[0]).T
    groups = np.arange(shape[1]) // (shape[1] // scales.shape[1])
    if "weight_g_idx" in parts:
        groups = parts["weight_g_idx"].numpy()
    return widened(codes, scales, zeros, groups)


def of_gptq(section: Mapping[str, Any], parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    bits, less = section["bits"], 0 if section.get("checkpoint_format") == "gptq_v2" else 1
    codes = bits_of(parts["qweight"].T.contiguous(), bits, shape[1])
    zeros = bits_of(parts["qzeros"], bits, shape[0]).T + less
    return widened(codes, parts["scales"].float().numpy().T, zeros, parts["g_idx"].numpy())


def of_awq(section: Mapping[str, Any], parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    def in_order(words: torch.Tensor) -> np.ndarray:
        stored = bits_of(words, 4, shape[0]).reshape(len(words), -1, 8)
        found = np.empty_like(stored)
        found[..., AWQ_ORDER] = stored
        return found.reshape(len(words), -1).T

    groups = np.arange(shape[1]) // section["group_size"]
    scales = parts["scales"].float().numpy().T
    return widened(in_order(parts["qweight"]), scales, in_order(parts["qzeros"]), groups)


def of_modelopt(_section: Mapping[str, Any], parts: Parts, _shape: tuple[int, ...]) -> np.ndarray:
    if "weight_scale_2" not in parts:
        return small_float(codes_of(parts["weight"]), 4, 3) * parts["weight_scale"].numpy()
    exact = small_float(codes_of(parts["weight_scale"]), 4, 3) * parts["weight_scale_2"].numpy()
    return small_float(halves_of(parts["weight"]), 2, 1) * np.repeat(exact, 16, axis=1)


def of_bitsandbytes(_section: Mapping[str, Any], parts: Parts, shape: tuple[int, ...]) -> np.ndarray:
    if "SCB" in parts:
        return parts["weight"].numpy() * (parts["SCB"].numpy() * np.float32(1 / 127))[:, None]
    (name,) = (name for name in parts if "quant_state" in name)
    state = json.loads(parts[name].numpy().tobytes())
    stored = parts["weight"].numpy().reshape(-1)
    codes = np.stack([stored >> 4, stored & 15], axis=-1).reshape(-1)[: shape[0] * shape[1]]
    scales = parts["weight.absmax"].numpy()
    if "nested_blocksize" in state:
        largest = np.repeat(parts["weight.nested_absmax"].numpy(), state["nested_blocksize"])[: len(scales)]
        table = parts["weight.nested_quant_map"].numpy()
        scales = table[scales] * largest + np.float32(state["nested_offset"])
    wide = np.repeat(scales, state["blocksize"])[: len(codes)]
    return (parts["weight.quant_map"].numpy()[codes] * wide).reshape(shape)
