"""Llama and the families shaped like it: gated, RMS norms before, rotary positions."""

from __future__ import annotations

from typing import Any

from .model import (
    DYNAMIC_ROPE,
    LINEAR_ROPE,
    LLAMA3_ROPE,
    YARN_ROPE,
    RandomModel,
    five,
    longrope,
    old,
    six,
    sizes,
)


def phi3_sizes(
    channels: int, heads: tuple[int, int], ffn: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    """Three layers; its default padding id lies beyond a small vocabulary."""
    return sizes(channels, 3, heads, ffn, vocabulary, **{"pad_token_id": 0, **more})


# Head counts that 2, 3 and 4 do not divide, feed-forward and vocabulary sizes that none divides.
LLAMA_LIKE = (
    five("llama-5over1-tied", tie_word_embeddings=True),
    RandomModel(
        "llama-7over7-biases-sharded",
        "llama",
        sizes(112, 3, (7, 7), 149, 263, attention_bias=True, mlp_bias=True),
        shard="100KB",
    ),
    old(six("llama-6over2-head24-llama3-bfloat16", head_dim=24, rope_parameters=LLAMA3_ROPE)),
    RandomModel(
        "llama-9over3-linear-float16-tied",
        "llama",
        sizes(
            144, 3, (9, 3), 211, 307, rope_parameters=LINEAR_ROPE, tie_word_embeddings=True,
            rms_norm_eps=1e-5,
        ),
        dtype="float16",
        is_old=True,
    ),
    RandomModel(
        "mistral-10over5-window16", "mistral", sizes(80, 3, (10, 5), 131, 251, sliding_window=16)
    ),
    RandomModel(
        "mistral-6over3-head20-window17-bfloat16-sharded",
        "mistral",
        sizes(96, 3, (6, 3), 163, 269, head_dim=20, sliding_window=17),
        dtype="bfloat16",
        shard="60KB",
    ),
    RandomModel(
        "mistral-3over1-unwindowed", "mistral", sizes(48, 4, (3, 1), 89, 239, sliding_window=None)
    ),
    RandomModel(
        "qwen2-7over1-tied", "qwen2", sizes(112, 3, (7, 1), 149, 263, tie_word_embeddings=True)
    ),
    RandomModel(
        "qwen2-4over2-upper-window13",
        "qwen2",
        sizes(
            80, 4, (4, 2), 113, 257, use_sliding_window=True, max_window_layers=2,
            sliding_window=13,
        ),
        is_old=True,
    ),
    RandomModel(
        "qwen2-14over2-theta1e6-float16-sharded",
        "qwen2",
        sizes(
            140, 3, (14, 2), 197, 271,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        ),
        dtype="float16",
        shard="150KB",
    ),
    RandomModel(
        "llama-3over1-yarn",
        "llama",
        sizes(
            66, 3, (3, 1), 101, 241,
            rope_parameters={
                **YARN_ROPE, "attention_factor": 1.3, "beta_fast": 1.0, "beta_slow": 0.1,
            },
        ),
    ),
    RandomModel(
        "llama-5over5-dynamic",
        "llama",
        sizes(80, 3, (5, 5), 127, 253, rope_parameters=DYNAMIC_ROPE, max_position_embeddings=32),
    ),
    RandomModel(
        "llama-4over2-longrope-old",
        "llama",
        sizes(
            72, 3, (4, 2), 113, 247, rope_parameters=longrope(9, original=32, factor=4.0),
            max_position_embeddings=128,
        ),
        is_old=True,
    ),
    five("qwen3-5over1-head24-tied", head_dim=24, tie_word_embeddings=True),
    RandomModel(
        "qwen3-6over3-head20-biases-upper-window13",
        "qwen3",
        sizes(
            102, 4, (6, 3), 131, 257, head_dim=20, attention_bias=True, use_sliding_window=True,
            max_window_layers=2, sliding_window=13, rms_norm_eps=1e-5,
        ),
    ),
    RandomModel(
        "qwen3-7over7-yarn-bfloat16-old",
        "qwen3",
        sizes(
            105, 3, (7, 7), 149, 263, head_dim=16,
            rope_parameters={**YARN_ROPE, "mscale": 0.8, "mscale_all_dim": 0.5},
        ),
        dtype="bfloat16",
        is_old=True,
    ),
    RandomModel("phi3-5over1", "phi3", phi3_sizes(80, (5, 1), 127, 251)),
    RandomModel(
        "phi3-6over2-longrope-partial",
        "phi3",
        phi3_sizes(
            96, (6, 2), 131, 257, rope_parameters=longrope(6) | {"partial_rotary_factor": 0.75},
            original_max_position_embeddings=32, max_position_embeddings=128,
        ),
    ),
    RandomModel(
        "phi3-4over4-longrope-window17-tied-bfloat16-old",
        "phi3",
        phi3_sizes(
            88, (4, 4), 113, 253, rope_parameters=longrope(11), sliding_window=17,
            original_max_position_embeddings=32, max_position_embeddings=128,
            tie_word_embeddings=True, rms_norm_eps=1e-6,
        ),
        dtype="bfloat16",
        is_old=True,
    ),
)
