"""GPTQ (arXiv 2210.17323) as AutoGPTQ stores it, AWQ (arXiv 2306.00978) as AutoAWQ does."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from .form import LLAMA, QWEN3, Form, Packed
from .integers import packed, packed_down, quantised

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # which of eight outputs stands where in a word


def widened(
    codes: np.ndarray, scales: np.ndarray, zeros: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """(q - z) s, by the group of each column."""
    return ((codes - zeros[:, groups]) * scales[:, groups]).astype(np.float32)


def pack_gptq(
    weight: np.ndarray,
    generator: np.random.Generator,
    bits: int,
    group: int,
    is_symmetric: bool = True,
    is_ordered: bool = False,
    zeros_less: int = 1,
    has_bias: bool = False,
) -> Packed:
    """`is_ordered`: by activations; `zeros_less`: what is taken from zeros before they are stored;
    `has_bias`: one of zeros, as AutoGPTQ writes."""
    columns = weight.shape[1]
    group = columns if group == -1 else group
    order = generator.permutation(columns) if is_ordered else np.arange(columns)
    codes, scales, zeros = quantised(weight[:, order], bits, group, is_symmetric)
    back = np.argsort(order)
    codes, groups = codes[:, back], back // group
    tensors = {
        "qweight": packed_down(codes.T, bits),
        "qzeros": packed(zeros.T - zeros_less, bits),
        "scales": torch.from_numpy(scales.T.copy()).to(torch.float16),
        "g_idx": torch.from_numpy(groups.astype(np.int32)),
    }
    if has_bias:
        tensors["bias"] = torch.zeros(len(weight), dtype=torch.float16)
    return Packed(tensors, widened(codes, scales, zeros, groups))


def pack_awq(weight: np.ndarray, _generator: np.random.Generator, group: int) -> Packed:
    codes, scales, zeros = quantised(weight, 4, group, is_symmetric=False)

    def in_order(values: np.ndarray) -> torch.Tensor:
        return packed(values.reshape(len(values), -1, 8)[..., AWQ_ORDER].reshape(values.shape), 4)

    tensors = {
        "qweight": in_order(codes.T),
        "qzeros": in_order(zeros.T),
        "scales": torch.from_numpy(scales.T.copy()).to(torch.float16),
    }
    return Packed(tensors, widened(codes, scales, zeros, np.arange(weight.shape[1]) // group))


def gptq(**keys: object) -> dict[str, object]:
    return {"quant_method": "gptq", "sym": True, "desc_act": False, "true_sequential": True, **keys}


GPTQ_AWQ = (
    Form(
        "gptq-4-groups", LLAMA, gptq(bits=4, group_size=32), partial(pack_gptq, bits=4, group=32),
        "gptq: int4, groups of 32",
    ),
    Form(
        "gptq-4-ordered-zeros", QWEN3, gptq(bits=4, group_size=16, desc_act=True, sym=False),
        partial(pack_gptq, bits=4, group=16, is_symmetric=False, is_ordered=True),
        "gptq: int4, groups of 16",
    ),
    Form(
        "gptq-8-whole", QWEN3, gptq(bits=8, group_size=-1), partial(pack_gptq, bits=8, group=-1),
        "gptq: int8, one scale a row",
    ),
    Form(
        "gptq-3-v2", LLAMA, gptq(bits=3, group_size=32, checkpoint_format="gptq_v2", sym=False),
        partial(pack_gptq, bits=3, group=32, is_symmetric=False, zeros_less=0),
        "gptq: int3, groups of 32",
    ),
    Form(
        "gptq-beside", LLAMA, {}, partial(pack_gptq, bits=4, group=32, has_bias=True),
        "gptq: int4, groups of 32",
        beside={"quantize_config.json": {"bits": 4, "group_size": 32, "desc_act": False}},
    ),
    Form(
        "awq", LLAMA,
        {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"},
        partial(pack_awq, group=32), "awq: int4, groups of 32",
    ),
    Form(
        "awq-left-out", QWEN3,
        {
            "quant_method": "awq", "bits": 4, "group_size": 16, "version": "GEMM",
            "modules_to_not_convert": ["self_attn.v_proj"],
        },
        partial(pack_awq, group=16), "awq: int4, groups of 16", left_out=r"v_proj",
    ),
)  # fmt: skip
