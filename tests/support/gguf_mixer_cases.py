"""Random models of the architectures of GGUF with a delta rule or a short convolution: cases of
`gguf_architectures`."""

from __future__ import annotations

from typing import Any

import numpy as np
import transformers

from support.gguf_cases import EXPERTS, F, G, GROUPED, WIDER, Case, Stored, all_fields, head_fields, plus_one
from support.gguf_expert_cases import COUNTED

T = transformers
KEYS, VALUES, KEY_WIDTH, VALUE_WIDTH = 2, 4, 8, 6
DELTA = {
    "linear_num_key_heads": KEYS, "linear_num_value_heads": VALUES, "linear_key_head_dim": KEY_WIDTH,
    "linear_value_head_dim": VALUE_WIDTH, "layer_types": ["linear_attention", "full_attention"],
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    "rms_norm_eps": 1e-6,
}  # fmt: skip
DELTA_FIELDS: dict[str, Any] = head_fields(12) | {
    "ssm.conv_kernel": 4, "ssm.state_size": KEY_WIDTH, "ssm.group_count": KEYS, "ssm.time_step_rank": VALUES,
    "ssm.inner_size": VALUES * VALUE_WIDTH, "full_attention_interval": 2, "rope.dimension_count": 6,
}  # fmt: skip
SHARED = {
    "num_experts": EXPERTS, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 40,
}  # fmt: skip
SHARED_FIELDS = COUNTED | {"expert_feed_forward_length": 24, "expert_shared_feed_forward_length": 40}


def delta(name: str, values: np.ndarray) -> Stored:
    """A in place of its logarithm, the shift of time steps as a bias, 1 added to all norms but the inner."""
    if name.endswith("A_log"):
        return {name: -np.exp(values)}
    if name.endswith("dt_bias"):
        return {name.replace("dt_bias", "dt_proj.bias"): values}
    return values if "linear_attn.norm" in name else plus_one(name, values)


def qwen3_next(name: str, values: np.ndarray) -> Stored:
    """Queries, keys, values and gates of each key head -> all of one kind, the gates apart."""
    if "in_proj_qkvz" not in name:
        return delta(name, values)
    inner = VALUES // KEYS * VALUE_WIDTH
    heads = values.reshape(KEYS, 2 * KEY_WIDTH + 2 * inner, -1)
    kinds = np.split(heads, [KEY_WIDTH, 2 * KEY_WIDTH, 2 * KEY_WIDTH + inner], axis=1)
    *mixed, gates = (kind.reshape(-1, values.shape[1]) for kind in kinds)
    return {
        name.replace("qkvz", "qkv"): np.concatenate(mixed), name.replace("in_proj_qkvz", "in_proj_z"): gates,
    }  # fmt: skip


def spread(values: np.ndarray) -> np.ndarray:
    """Value heads of a key head together -> the first of each key head, then the second."""
    heads = values.reshape(KEYS, VALUES // KEYS, -1, *values.shape[1:])
    return heads.swapaxes(0, 1).reshape(values.shape)


def qwen35(name: str, values: np.ndarray) -> Stored:
    if any(part in name for part in ("in_proj_z", "in_proj_a", "in_proj_b", "A_log", "dt_bias")):
        values = spread(values)
    elif "linear_attn.out_proj" in name:
        values = spread(values.T).T
    elif "in_proj_qkv" in name or "conv1d" in name:
        begin = 2 * KEYS * KEY_WIDTH
        values = np.concatenate([values[:begin], spread(values[begin:])])
    return delta(name, values)


ROUNDED = ("A_log",)

MIXER_CASES = (
    Case("qwen3next", T.Qwen3NextConfig(**WIDER | DELTA | SHARED), all_fields(**DELTA_FIELDS | SHARED_FIELDS),
         qwen3_next, rounded=ROUNDED),
    Case("qwen3next-whole", T.Qwen3NextConfig(**WIDER | DELTA | SHARED),
         all_fields(**DELTA_FIELDS | SHARED_FIELDS), delta, "qwen3next", rounded=ROUNDED),
    Case("qwen35", T.Qwen3_5TextConfig(**WIDER | DELTA),
         all_fields(**DELTA_FIELDS, **{"rope.dimension_sections": [11, 11, 10, 0]}), qwen35, rounded=ROUNDED),
    Case("qwen35moe", T.Qwen3_5MoeTextConfig(**WIDER | DELTA | SHARED),
         all_fields(**DELTA_FIELDS | SHARED_FIELDS, **{"rope.dimension_sections": [11, 11, 10, 0]}), qwen35,
         rounded=ROUNDED),
    Case(
        "lfm2",
        T.Lfm2Config(**GROUPED, layer_types=["conv", "full_attention"], block_auto_adjust_ff_dim=False,
                     norm_eps=1e-6, rope_theta=10000.0),
        all_fields(**{"attention.head_count_kv": [0, G], "shortconv.l_cache": 3, "feed_forward_length": F,
                      "vocab_size": 6}),
        skipped=("lm_head.weight",),
    ),
)  # fmt: skip
