"""Families of parallel blocks and of ALiBi: Falcon, MPT, Cohere, StableLM."""

from __future__ import annotations

from typing import Any

from .model import LINEAR_ROPE, YARN_ROPE, RandomModel, five, six, sizes


def falcon_sizes(
    channels: int, heads: int, ffn: int | None, vocabulary: int, **more: Any
) -> dict[str, Any]:
    return {
        "hidden_size": channels,
        "num_hidden_layers": 3,
        "num_attention_heads": heads,
        "ffn_hidden_size": ffn,
        "vocab_size": vocabulary,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **more,
    }


def mpt_sizes(channels: int, heads: int, vocabulary: int, **more: Any) -> dict[str, Any]:
    return {
        "d_model": channels,
        "n_layers": 3,
        "n_heads": heads,
        "vocab_size": vocabulary,
        "max_seq_len": 128,
        **more,
    }


PARALLEL_BLOCKS = (
    RandomModel("falcon-5over1-tied", "falcon", falcon_sizes(80, 5, None, 251)),
    RandomModel(
        "falcon-6over2-new-two-norms",
        "falcon",
        falcon_sizes(96, 6, 131, 257, new_decoder_architecture=True, num_kv_heads=2),
    ),
    RandomModel(
        "falcon-4over2-new-one-norm-biases-yarn-untied",
        "falcon",
        falcon_sizes(
            88, 4, 113, 253, new_decoder_architecture=True, num_kv_heads=2, bias=True,
            num_ln_in_parallel_attn=1, tie_word_embeddings=False, rope_parameters=YARN_ROPE,
        ),
    ),
    RandomModel(
        "falcon-5over5-alibi-serial-biases",
        "falcon",
        falcon_sizes(
            80, 5, 127, 251, alibi=True, multi_query=False, parallel_attn=False, bias=True
        ),
    ),
    RandomModel(
        "falcon-7over1-alibi-parallel-bfloat16",
        "falcon",
        falcon_sizes(112, 7, 149, 263, alibi=True, layer_norm_epsilon=1e-6, activation="gelu_new"),
        dtype="bfloat16",
    ),
    RandomModel(
        "falcon-3over3-parallel",
        "falcon",
        falcon_sizes(66, 3, 101, 241, multi_query=False, max_position_embeddings=512),
    ),
    RandomModel("mpt-5heads-tied", "mpt", mpt_sizes(80, 5, 251)),
    RandomModel(
        "mpt-4heads-clipped-scaled-untied",
        "mpt",
        mpt_sizes(
            84, 4, 257, attn_config={"clip_qkv": 1.5, "softmax_scale": 0.3},
            tie_word_embeddings=False,
        ),
    ),
    RandomModel(
        "mpt-7heads-clipped-bfloat16",
        "mpt",
        mpt_sizes(105, 7, 263, attn_config={"clip_qkv": 3.0}, layer_norm_epsilon=1e-6),
        dtype="bfloat16",
    ),
    five("cohere-5over1-tied", logit_scale=0.25),
    RandomModel(
        "cohere-6over3-normed-queries-biases",
        "cohere",
        sizes(96, 3, (6, 3), 131, 257, use_qk_norm=True, attention_bias=True, logit_scale=2.0),
    ),
    RandomModel(
        "cohere-3over3-linear-untied-bfloat16",
        "cohere",
        sizes(
            102, 3, (3, 3), 149, 263, tie_word_embeddings=False, rope_parameters=LINEAR_ROPE,
            layer_norm_eps=1e-6,
        ),
        dtype="bfloat16",
    ),
    RandomModel("stablelm-5over5-quarter-rotary", "stablelm", sizes(80, 3, (5, 5), 127, 251)),
    six(
        "stablelm-6over2-parallel-normed-queries-biases", use_parallel_residual=True,
        qk_layernorm=True, use_qkv_bias=True,
    ),
    RandomModel(
        "stablelm-7over1-serial-normed-queries-tied-bfloat16-old",
        "stablelm",
        sizes(
            112, 3, (7, 1), 149, 263, qk_layernorm=True, tie_word_embeddings=True,
            layer_norm_eps=1e-6,
            rope_parameters={
                "rope_type": "default", "rope_theta": 25000.0, "partial_rotary_factor": 0.5,
            },
        ),
        dtype="bfloat16",
        is_old=True,
    ),
)
