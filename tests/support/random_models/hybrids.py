"""Families whose layers differ in what mixes positions: the gated delta rule, or attention with a gated
output.

Key heads are shared by one to three value heads; with three key heads a rank of four has none. Rates
of decay span memories of a few tokens to hundreds.
"""

from __future__ import annotations

from typing import Any

from .model import LINEAR_ROPE, RandomModel, sizes
from .wrapped import IMAGE_ID, QWEN_TOWER

LINEAR, FULL = "linear_attention", "full_attention"


def delta(heads: tuple[int, int], widths: tuple[int, int], taps: int = 4) -> dict[str, int]:
    """Key and value heads, and their widths."""
    return {
        "linear_num_key_heads": heads[0], "linear_num_value_heads": heads[1],
        "linear_key_head_dim": widths[0], "linear_value_head_dim": widths[1],
        "linear_conv_kernel_dim": taps,
    }  # fmt: skip


def experts(count: int, chosen: int, width: int, shared: int) -> dict[str, int]:
    return {
        "num_experts": count, "num_experts_per_tok": chosen, "moe_intermediate_size": width,
        "shared_expert_intermediate_size": shared,
    }  # fmt: skip


def axes(pairs: list[int], part: float) -> dict[str, Any]:
    """Rotary positions along three axes, which text has alike, on a part of each head."""
    return {"rope_type": "default", "rope_theta": 3e4, "partial_rotary_factor": part,
            "mrope_section": pairs, "mrope_interleaved": True}  # fmt: skip


def wrapper(text: dict[str, Any], **more: Any) -> dict[str, Any]:
    tower = {**QWEN_TOWER, "hidden_size": 16, "intermediate_size": 24, "num_position_embeddings": 16}
    return {"text_config": text, "vision_config": {**tower, "out_hidden_size": text["hidden_size"]},
            "image_token_id": IMAGE_ID, "video_token_id": IMAGE_ID + 1, **more}  # fmt: skip


def moe_sizes(*arguments: Any, **more: Any) -> dict[str, Any]:
    """Without dense layers."""
    keys = sizes(*arguments, **more)
    del keys["intermediate_size"]
    return keys


HYBRIDS = (
    RandomModel(
        "qwen3_next-5over1-head24-delta3over6-2of6",
        "qwen3_next",
        sizes(80, 4, (5, 1), 127, 251, head_dim=24, **delta((3, 6), (16, 24)), **experts(6, 2, 44, 52)),
    ),
    RandomModel(
        "qwen3_next-6over2-head32-delta2over2-3of5-first-dense-biases-old",
        "qwen3_next",
        sizes(
            84, 4, (6, 2), 131, 257, head_dim=32, attention_bias=True, **delta((2, 2), (20, 8), 3),
            **experts(5, 3, 37, 61), mlp_only_layers=[0], norm_topk_prob=False,
        ),
        is_old=True,
    ),
    RandomModel(
        "qwen3_next-3over3-delta5over15-4of7-gelu-tied-bfloat16",
        "qwen3_next",
        sizes(
            75, 3, (3, 3), 113, 241, head_dim=16, **delta((5, 15), (8, 12), 5), **experts(7, 4, 28, 45),
            decoder_sparse_step=2, layer_types=[LINEAR, FULL, LINEAR], hidden_act="gelu_pytorch_tanh",
            rope_parameters=LINEAR_ROPE | {"partial_rotary_factor": 0.5}, rms_norm_eps=1e-5,
            tie_word_embeddings=True,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "qwen3_5_text-5over1-head24-delta3over6",
        "qwen3_5_text",
        sizes(80, 4, (5, 1), 127, 251, head_dim=24, **delta((3, 6), (16, 24))),
    ),
    RandomModel(
        "qwen3_5_text-4over2-head32-delta4over4-biases-tied-old",
        "qwen3_5_text",
        sizes(
            84, 4, (4, 2), 131, 257, head_dim=32, attention_bias=True, **delta((4, 4), (20, 8), 3),
            tie_word_embeddings=True,
        ),
        is_old=True,
    ),
    RandomModel(
        "qwen3_5_text-3over3-delta2over6-linear-bfloat16",
        "qwen3_5_text",
        sizes(
            75, 3, (3, 3), 113, 241, head_dim=16, **delta((2, 6), (8, 12), 2),
            layer_types=[FULL, LINEAR, LINEAR], rms_norm_eps=1e-5,
            rope_parameters=LINEAR_ROPE | {"partial_rotary_factor": 0.5},
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "qwen3_5_moe_text-5over1-head24-delta3over6-2of6",
        "qwen3_5_moe_text",
        moe_sizes(80, 4, (5, 1), 0, 251, head_dim=24, **delta((3, 6), (16, 24)), **experts(6, 2, 44, 52)),
    ),
    RandomModel(
        "qwen3_5_moe_text-6over3-delta2over4-1of4-biases",
        "qwen3_5_moe_text",
        moe_sizes(
            96, 3, (6, 3), 0, 257, head_dim=16, attention_bias=True, **delta((2, 4), (12, 20), 3),
            **experts(4, 1, 37, 53), layer_types=[LINEAR, FULL, LINEAR],
        ),
    ),
    RandomModel(
        "qwen3_5_moe_text-3over1-delta1over3-4of7-tied-bfloat16",
        "qwen3_5_moe_text",
        moe_sizes(
            75, 3, (3, 1), 0, 241, head_dim=24, **delta((1, 3), (16, 8)), **experts(7, 4, 28, 45),
            layer_types=[FULL, LINEAR, FULL], tie_word_embeddings=True,
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "qwen3_5-5over1-head24-delta3over6",
        "qwen3_5",
        wrapper(
            sizes(80, 4, (5, 1), 127, 251, head_dim=24, **delta((3, 6), (16, 24)),
                  rope_parameters=axes([2, 2, 2], 0.5))
        ),
    ),
    RandomModel(
        "qwen3_5-4over4-delta2over2-tied-sharded",
        "qwen3_5",
        wrapper(
            sizes(84, 3, (4, 4), 131, 257, head_dim=24, **delta((2, 2), (20, 8)),
                  layer_types=[LINEAR, FULL, LINEAR], rope_parameters=axes([2, 1, 0], 0.25)),
            tie_word_embeddings=True,
        ),
        shard="100KB",
    ),
    RandomModel(
        "qwen3_5-6over3-delta4over8-bfloat16",
        "qwen3_5",
        wrapper(
            sizes(72, 3, (6, 3), 113, 241, head_dim=16, **delta((4, 8), (8, 12)),
                  layer_types=[LINEAR, LINEAR, FULL], rope_parameters=axes([2, 1, 1], 0.5))
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "qwen3_5_moe-5over1-head24-delta3over6-2of6",
        "qwen3_5_moe",
        wrapper(
            moe_sizes(80, 4, (5, 1), 0, 251, head_dim=24, **delta((3, 6), (16, 24)),
                      **experts(6, 2, 44, 52), rope_parameters=axes([2, 2, 2], 0.5))
        ),
    ),
    RandomModel(
        "qwen3_5_moe-4over2-delta2over2-3of5-tied-sharded",
        "qwen3_5_moe",
        wrapper(
            moe_sizes(84, 3, (4, 2), 0, 257, head_dim=24, **delta((2, 2), (20, 8)),
                      **experts(5, 3, 36, 40), layer_types=[LINEAR, FULL, LINEAR],
                      rope_parameters=axes([2, 1, 0], 0.25)),
            tie_word_embeddings=True,
        ),
        shard="100KB",
    ),
    RandomModel(
        "qwen3_5_moe-6over3-delta4over8-1of4-bfloat16",
        "qwen3_5_moe",
        wrapper(
            moe_sizes(72, 3, (6, 3), 0, 241, head_dim=16, **delta((4, 8), (8, 12)),
                      **experts(4, 1, 28, 33), layer_types=[LINEAR, LINEAR, FULL],
                      rope_parameters=axes([2, 1, 1], 0.5))
        ),
        dtype="bfloat16",
    ),
)  # fmt: skip
