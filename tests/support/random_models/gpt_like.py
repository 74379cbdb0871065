"""Families with LayerNorm and plain feed-forward layers: GPT-2 and those that came of it."""

from __future__ import annotations

from typing import Any

from .model import DYNAMIC_ROPE, LINEAR_ROPE, YARN_ROPE, RandomModel, gpt_sizes, sizes


def opt_sizes(
    channels: int, heads: int, ffn: int, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "hidden_size": channels,
        "num_hidden_layers": 3,
        "num_attention_heads": heads,
        "ffn_dim": ffn,
        "vocab_size": vocabulary,
        "max_position_embeddings": 96,
        **more,
    }


GPT_LIKE = (
    RandomModel("gpt2-5heads-tied", "gpt2", gpt_sizes(80, 3, 5, None, 251)),
    RandomModel(
        "gpt2-7heads-unscaled-gelu-untied",
        "gpt2",
        gpt_sizes(
            105, 3, 7, 149, 263, scale_attn_weights=False, activation_function="gelu",
            tie_word_embeddings=False,
        ),
    ),
    RandomModel(
        "gpt2-3heads-scaled-by-layer-bfloat16",
        "gpt2",
        gpt_sizes(
            75, 4, 3, 113, 239, scale_attn_by_inverse_layer_idx=True,
            reorder_and_upcast_attn=True, layer_norm_epsilon=1e-6,
        ),
        dtype="bfloat16",
    ),
    RandomModel("gpt_bigcode-5over1-tied", "gpt_bigcode", gpt_sizes(80, 3, 5, None, 251)),
    RandomModel(
        "gpt_bigcode-7over7-relu-untied",
        "gpt_bigcode",
        gpt_sizes(
            105, 3, 7, 149, 263, multi_query=False, activation_function="relu",
            tie_word_embeddings=False,
        ),
    ),
    RandomModel(
        "gpt_bigcode-4over1-unscaled-bfloat16",
        "gpt_bigcode",
        gpt_sizes(84, 4, 4, 131, 257, scale_attn_weights=False, layer_norm_epsilon=1e-6),
        dtype="bfloat16",
    ),
    RandomModel(
        "opt-5heads-tied",
        "opt",
        opt_sizes(80, 5, 127, 251),
    ),
    RandomModel(
        "opt-4heads-postnorm-projected48",
        "opt",
        opt_sizes(
            84, 4, 131, 257,
            do_layer_norm_before=False, word_embed_proj_dim=48,
        ),
    ),
    RandomModel(
        "opt-7heads-unbiased-gelu-untied-bfloat16",
        "opt",
        opt_sizes(
            105, 7, 149, 263, enable_bias=False, activation_function="gelu",
            tie_word_embeddings=False, max_position_embeddings=100,
        ),
        dtype="bfloat16",
    ),
    RandomModel("gpt_neox-5heads-quarter-rotary", "gpt_neox", sizes(80, 3, (5, 5), 127, 251)),
    RandomModel(
        "gpt_neox-7heads-serial-half-rotary-unbiased-old",
        "gpt_neox",
        sizes(
            112, 3, (7, 7), 149, 263, use_parallel_residual=False, attention_bias=False,
            hidden_act="gelu_new",
            rope_parameters={
                "rope_type": "default", "rope_theta": 25000.0, "partial_rotary_factor": 0.5,
            },
        ),
        is_old=True,
    ),
    RandomModel(
        "gpt_neox-3heads-linear-tied-bfloat16",
        "gpt_neox",
        sizes(
            102, 3, (3, 3), 131, 257, tie_word_embeddings=True, layer_norm_eps=1e-6,
            rope_parameters=LINEAR_ROPE | {"partial_rotary_factor": 1.0},
        ),
        dtype="bfloat16",
    ),
    RandomModel("phi-5over5-half-rotary", "phi", sizes(80, 3, (5, 5), 127, 251)),
    RandomModel(
        "phi-6over2-normed-queries-old",
        "phi",
        sizes(
            96, 3, (6, 2), 131, 257, qk_layernorm=True, hidden_act="gelu",
            rope_parameters={
                "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.4,
            },
        ),
        is_old=True,
    ),
    RandomModel(
        "phi-7over1-dynamic-tied-bfloat16",
        "phi",
        sizes(
            112, 3, (7, 1), 149, 263, tie_word_embeddings=True, max_position_embeddings=32,
            rope_parameters=DYNAMIC_ROPE | {"partial_rotary_factor": 0.5},
        ),
        dtype="bfloat16",
    ),
    RandomModel(
        "starcoder2-5over1-tied", "starcoder2", sizes(80, 3, (5, 1), 127, 251)
    ),
    RandomModel(
        "starcoder2-6over2-window16-unbiased-untied",
        "starcoder2",
        sizes(
            102, 3, (6, 2), 131, 257, sliding_window=16, use_bias=False,
            tie_word_embeddings=False, head_dim=18,
        ),
    ),
    RandomModel(
        "starcoder2-9over3-window13-yarn-bfloat16",
        "starcoder2",
        sizes(
            126, 3, (9, 3), 163, 269, sliding_window=13, rope_parameters=YARN_ROPE,
            norm_epsilon=1e-6,
        ),
        dtype="bfloat16",
    ),
)
